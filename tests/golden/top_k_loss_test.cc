// The loss over the k most probable classes and their tail, against PyTorch's kl_div and autograd.
#include <torch/script.h>

#include <cmath>

#include "student_worker/training/distillation_loss.h"
#include "tests/golden/golden_tensor.h"

namespace distillery {
namespace {

TopKTargets Targets(const nlohmann::json& one, at::ScalarType type) {
  return {MatrixOf(one.at("probabilities"), type), MatrixOf(one.at("class_indexes"), torch::kInt64),
          MatrixOf(one.at("tail_mass"), type).squeeze(1)};
}

// Terms and gradient of one case in one precision, compared with PyTorch's float64 numbers.
void CheckCase(const nlohmann::json& golden, const nlohmann::json& targets,
               const nlohmann::json& one, at::ScalarType type, double relative, double unit_error) {
  const auto temperature = targets.at("temperature").get<double>();
  const auto alpha = one.at("alpha").get<double>();
  SCOPED_TRACE(::testing::Message()
               << "T " << temperature << ", k " << targets.at("k") << ", alpha " << alpha);
  const at::Tensor student = MatrixOf(golden.at("student_logits"), type).requires_grad_(true);
  const DistillationLoss loss = ComputeDistillationLoss(student, Targets(targets, type),
                                                        LabelsOf(golden), {alpha, temperature});
  loss.total.backward();

  const nlohmann::json& expected = one.at("float64");
  const auto check = [&](const at::Tensor& got, const char* name, double scale) {
    const auto want = expected.at(name).get<double>();
    EXPECT_NEAR(got.item<double>(), want, relative * std::abs(want) + scale * unit_error) << name;
  };
  // KL is a difference of logarithms, each exact to a unit in the last place; T^2 magnifies that.
  check(loss.total, "total", 1 + alpha * temperature * temperature);
  check(loss.hard, "hard", 1);
  check(loss.soft, "soft", 1);
  const std::vector<double> gradient = Flatten(expected.at("gradient"));
  const at::Tensor got = student.grad().to(torch::kFloat64).contiguous();
  ASSERT_EQ(got.numel(), static_cast<int64_t>(gradient.size()));
  for (size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_NEAR(got.data_ptr<double>()[i], gradient[i],
                relative * std::abs(gradient[i]) + (1 + alpha * temperature) * unit_error)
        << "gradient " << i;
  }
}

void CheckAll(at::ScalarType type, double relative, double unit_error) {
  const nlohmann::json golden = ReadGolden("top_k_loss.json");
  ASSERT_EQ(golden.at("targets").size(), 12U);  // 4 temperatures x 3 k
  for (const nlohmann::json& targets : golden.at("targets")) {
    ASSERT_EQ(targets.at("cases").size(), 2U);
    for (const nlohmann::json& one : targets.at("cases")) {
      CheckCase(golden, targets, one, type, relative, unit_error);
    }
  }
}

TEST(GoldenTopKLoss, EqualsPyTorchInFloat64) { CheckAll(torch::kFloat64, 1e-12, 1e-14); }

// The least class of the third row has q = exp(-30), which 1 - sum would make 0 and its loss
// infinite.
TEST(GoldenTopKLoss, EqualsPyTorchInFloat32) { CheckAll(torch::kFloat32, 1e-6, 2.4e-7); }

TEST(GoldenTopKLoss, OfAllClassesIsTheLossOfDenseTargets) {
  const nlohmann::json golden = ReadGolden("top_k_loss.json");
  const at::Tensor scaled = MatrixOf(golden.at("teacher_logits"), torch::kFloat64) / 4;
  const auto [probabilities, indexes] = at::softmax(scaled, 1).topk(10, 1);
  const TopKTargets targets{probabilities, indexes, torch::zeros({4}, torch::kFloat64)};
  const auto compute = [&](const auto& form) {
    const at::Tensor student =
        MatrixOf(golden.at("student_logits"), torch::kFloat64).requires_grad_(true);
    const DistillationLoss loss = ComputeDistillationLoss(student, form, LabelsOf(golden),
                                                          {/*alpha=*/0.9, /*temperature=*/4});
    loss.total.backward();
    return std::make_pair(loss.total.item<double>(), student.grad());
  };
  const auto [top_k_loss, top_k_gradient] = compute(targets);
  const auto [dense_loss, dense_gradient] = compute(scaled);
  EXPECT_NEAR(top_k_loss, dense_loss, 1e-12);
  EXPECT_TRUE(at::allclose(top_k_gradient, dense_gradient, 1e-12, 1e-14));
}

TEST(GoldenTopKLoss, LeavesTheTeacherAloneAtAlphaZero) {
  const nlohmann::json golden = ReadGolden("top_k_loss.json");
  const DistillationLoss loss =
      ComputeDistillationLoss(MatrixOf(golden.at("student_logits"), torch::kFloat64), TopKTargets(),
                              LabelsOf(golden), {/*alpha=*/0, /*temperature=*/4});
  EXPECT_DOUBLE_EQ(loss.total.item<double>(), loss.hard.item<double>());
  EXPECT_FALSE(loss.soft.defined());
}

}  // namespace
}  // namespace distillery

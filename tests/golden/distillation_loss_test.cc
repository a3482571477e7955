// ComputeDistillationLoss against PyTorch's kl_div, cross_entropy and autograd.
#include "student_worker/training/distillation_loss.h"

#include <torch/script.h>

#include <cmath>

#include "tests/golden/golden_tensor.h"

namespace distillery {
namespace {

// One case in one precision, compared with PyTorch's float64 numbers.
void CheckCase(const nlohmann::json& golden, const nlohmann::json& one, at::ScalarType type,
               double relative, double unit_error) {
  const auto temperature = one.at("temperature").get<double>();
  const auto alpha = one.at("alpha").get<double>();
  SCOPED_TRACE(::testing::Message() << "T " << temperature << ", alpha " << alpha);
  const at::Tensor student = MatrixOf(golden.at("student_logits"), type).requires_grad_(true);
  const at::Tensor teacher = MatrixOf(golden.at("teacher_logits"), type);
  const at::Tensor labels = LabelsOf(golden);

  const DistillationLoss loss =
      ComputeDistillationLoss(student, teacher / temperature, labels, {alpha, temperature});
  loss.total.backward();

  const nlohmann::json& expected = one.at("float64");
  const auto check = [&](const at::Tensor& got, const char* name, double scale) {
    const auto want = expected.at(name).get<double>();
    EXPECT_NEAR(got.item<double>(), want, relative * std::abs(want) + scale * unit_error) << name;
  };
  // KL is a difference of logarithms, each exact to a unit in the last place; T^2 magnifies that.
  check(loss.total, "total", 1 + alpha * temperature * temperature);
  check(loss.hard, "hard", 1);
  if (alpha > 0) {
    check(loss.soft, "soft", 1);
  } else {
    EXPECT_FALSE(loss.soft.defined());
  }
  const std::vector<double> gradient = Flatten(expected.at("gradient"));
  const at::Tensor got = student.grad().to(torch::kFloat64).contiguous();
  ASSERT_EQ(got.numel(), static_cast<int64_t>(gradient.size()));
  for (size_t i = 0; i < gradient.size(); ++i) {
    // d/ds of T^2 KL is T (q - p) / batch: one factor of T.
    EXPECT_NEAR(got.data_ptr<double>()[i], gradient[i],
                relative * std::abs(gradient[i]) + (1 + alpha * temperature) * unit_error)
        << "gradient " << i;
  }
}

TEST(GoldenDistillationLoss, EqualsPyTorchInFloat64) {
  const nlohmann::json golden = ReadGolden("distillation_loss.json");
  ASSERT_EQ(golden.at("cases").size(), 12U);  // 4 temperatures x 3 alphas
  for (const nlohmann::json& one : golden.at("cases")) {
    CheckCase(golden, one, torch::kFloat64, 1e-12, 1e-14);
  }
}

TEST(GoldenDistillationLoss, EqualsPyTorchInFloat32) {
  const nlohmann::json golden = ReadGolden("distillation_loss.json");
  for (const nlohmann::json& one : golden.at("cases")) {
    CheckCase(golden, one, torch::kFloat32, 1e-6, 1.2e-7);
  }
}

TEST(GoldenDistillationLoss, LeavesTheTeacherAloneAtAlphaZero) {
  const nlohmann::json golden = ReadGolden("distillation_loss.json");
  const at::Tensor student = MatrixOf(golden.at("student_logits"), torch::kFloat64);
  const at::Tensor labels = LabelsOf(golden);
  const DistillationLoss loss = ComputeDistillationLoss(
      student, /*teacher_scaled_logits=*/at::Tensor(), labels, {/*alpha=*/0, /*temperature=*/4});
  EXPECT_DOUBLE_EQ(loss.total.item<double>(), loss.hard.item<double>());
}

}  // namespace
}  // namespace distillery

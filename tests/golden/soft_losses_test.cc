// Each soft loss, with label smoothing, against PyTorch's numbers and autograd; and its gradient
// against differences of the loss itself.
#include <torch/script.h>

#include <cmath>

#include "tests/golden/golden_loss.h"

namespace distillery {
namespace {

LossOptions OptionsOf(const nlohmann::json& golden, const nlohmann::json& one) {
  LossOptions options = LossOptionsOf(one);
  options.dkd_alpha = golden.at("dkd_weights")[0].get<double>();
  options.dkd_beta = golden.at("dkd_weights")[1].get<double>();
  return options;
}

void CheckDense(at::ScalarType type, double tolerance) {
  const nlohmann::json golden = ReadGolden("soft_losses.json");
  ASSERT_EQ(golden.at("cases").size(), 18U);  // 6 losses x 3 settings
  for (const nlohmann::json& one : golden.at("cases")) {
    SCOPED_TRACE(one.at("name").get<std::string>());
    const LossOptions options = OptionsOf(golden, one);
    const at::Tensor student = MatrixOf(golden.at("student_logits"), type).requires_grad_(true);
    const at::Tensor teacher = MatrixOf(golden.at("teacher_logits"), type);
    const DistillationLoss loss =
        ComputeDistillationLoss(student, teacher / options.temperature, LabelsOf(golden), options);
    loss.total.backward();
    ExpectLoss(loss, student.grad(), one, tolerance);
  }
}

TEST(GoldenSoftLosses, EqualPyTorchInFloat64) { CheckDense(torch::kFloat64, 1e-10); }

TEST(GoldenSoftLosses, EqualPyTorchInFloat32) { CheckDense(torch::kFloat32, 2e-5); }

TEST(GoldenSoftLosses, OfTopKTargetsEqualPyTorch) {
  const nlohmann::json golden = ReadGolden("soft_losses.json");
  ASSERT_EQ(golden.at("top_k_cases").size(), 6U);  // 3 losses x 2 k
  for (const nlohmann::json& one : golden.at("top_k_cases")) {
    SCOPED_TRACE(one.at("name").get<std::string>());
    const TopKTargets targets{MatrixOf(one.at("probabilities"), torch::kFloat64),
                              MatrixOf(one.at("class_indexes"), torch::kInt64),
                              MatrixOf(one.at("tail_mass"), torch::kFloat64).squeeze(1)};
    const LossOptions options = OptionsOf(golden, one);
    ASSERT_TRUE(TakesTopK(options.soft));
    const at::Tensor student =
        MatrixOf(golden.at("student_logits"), torch::kFloat64).requires_grad_(true);
    const DistillationLoss loss =
        ComputeDistillationLoss(student, targets, LabelsOf(golden), options);
    loss.total.backward();
    ExpectLoss(loss, student.grad(), one, 1e-10);
  }
}

TEST(GoldenSoftLosses, SamplesWithoutLabelHaveTheSoftTermAlone) {
  const nlohmann::json golden = ReadGolden("unlabelled_loss.json");
  LossOptions options;
  options.alpha = golden.at("alpha").get<double>();
  options.temperature = golden.at("temperature").get<double>();
  const at::Tensor student =
      MatrixOf(golden.at("student_logits"), torch::kFloat64).requires_grad_(true);
  const at::Tensor teacher = MatrixOf(golden.at("teacher_logits"), torch::kFloat64);
  const DistillationLoss loss =
      ComputeDistillationLoss(student, teacher / options.temperature, LabelsOf(golden), options);
  loss.total.backward();
  ExpectLoss(loss, student.grad(), golden, 1e-10);
}

TEST(SoftLosses, WithoutAnyLabelTheHardTermIsNotThere) {
  const nlohmann::json golden = ReadGolden("unlabelled_loss.json");
  const at::Tensor student =
      MatrixOf(golden.at("student_logits"), torch::kFloat64).requires_grad_(true);
  const at::Tensor teacher = MatrixOf(golden.at("teacher_logits"), torch::kFloat64);
  const at::Tensor labels = torch::full({student.size(0)}, -100, torch::kInt64);
  LossOptions options;
  options.labelled = false;
  DistillationLoss loss = ComputeDistillationLoss(student, teacher / 4, labels, options);
  EXPECT_FALSE(loss.hard.defined());
  EXPECT_NEAR(loss.total.item<double>(), 0.9 * 16 * loss.soft.item<double>(), 1e-12);
  // Nor, with alpha 0, anything else.
  options.alpha = 0;
  loss = ComputeDistillationLoss(student, teacher / 4, labels, options);
  loss.total.backward();
  EXPECT_EQ(student.grad().abs().max().item<double>(), 0);
}

TEST(SoftLosses, TheTermsOfDkdAreGivenApart) {
  const nlohmann::json golden = ReadGolden("soft_losses.json");
  const at::Tensor student = MatrixOf(golden.at("student_logits"), torch::kFloat64);
  const at::Tensor teacher = MatrixOf(golden.at("teacher_logits"), torch::kFloat64);
  LossOptions options;
  options.soft = SoftLoss::kDkd;
  const DistillationLoss loss =
      ComputeDistillationLoss(student, teacher / 4, LabelsOf(golden), options);
  EXPECT_NEAR(loss.soft.item<double>(),
              loss.dkd_target.item<double>() + 8 * loss.dkd_other.item<double>(), 1e-12);
  EXPECT_GT(loss.dkd_target.item<double>(), 0);
  EXPECT_GT(loss.dkd_other.item<double>(), 0);
}

TEST(SoftLosses, GradientsAreTheDifferencesOfTheLoss) {
  const nlohmann::json golden = ReadGolden("soft_losses.json");
  const at::Tensor teacher = MatrixOf(golden.at("teacher_logits"), torch::kFloat64);
  const at::Tensor start = MatrixOf(golden.at("student_logits"), torch::kFloat64);
  for (const LossSpec& spec : kSoftLosses) {
    if (!Fits(spec.loss, AnswerKind::kClasses)) continue;
    SCOPED_TRACE(spec.name);
    LossOptions options;
    options.soft = spec.loss;
    options.temperature = 3;
    options.label_smoothing = 0.2;
    const auto loss_at = [&](const at::Tensor& student) {
      return ComputeDistillationLoss(student, teacher / options.temperature, LabelsOf(golden),
                                     options)
          .total;
    };
    const at::Tensor student = start.clone().requires_grad_(true);
    loss_at(student).backward();
    constexpr double kStep = 1e-5;
    for (int64_t i = 0; i < start.numel(); ++i) {
      at::Tensor more = start.clone();
      at::Tensor less = start.clone();
      more.view(-1)[i] += kStep;
      less.view(-1)[i] -= kStep;
      const double slope = (loss_at(more) - loss_at(less)).item<double>() / (2 * kStep);
      EXPECT_NEAR(student.grad().view(-1)[i].item<double>(), slope, 1e-7) << "logit " << i;
    }
  }
}

}  // namespace
}  // namespace distillery

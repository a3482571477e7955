// Losses by position, of several labels and of values, against PyTorch's numbers and autograd; and
// their gradients against differences of the loss itself.
#include <torch/script.h>

#include <cmath>
#include <limits>

#include "student_worker/training/target_batch.h"
#include "tests/golden/golden_loss.h"

namespace distillery {
namespace {

constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();

struct GoldenKind {
  const char* name;
  AnswerKind kind;
};
constexpr GoldenKind kGoldenKinds[] = {{"positions", AnswerKind::kClasses},
                                       {"multilabel", AnswerKind::kMultilabel},
                                       {"values", AnswerKind::kValues}};

at::Tensor NumbersOf(const nlohmann::json& golden, const char* name, at::ScalarType type) {
  return torch::tensor(golden.at(name).get<std::vector<double>>(), torch::kFloat64)
      .view(golden.at("shape").get<std::vector<int64_t>>())
      .to(type);
}

at::Tensor MaskOf(const nlohmann::json& golden) {
  return torch::tensor(golden.at("mask").get<std::vector<int64_t>>(), torch::kInt64);
}

// Those that are not known are NaN.
at::Tensor LabelsOfKind(const nlohmann::json& golden, AnswerKind kind) {
  if (kind == AnswerKind::kClasses) return LabelsOf(golden);
  at::Tensor labels = NumbersOf(golden, "labels", torch::kFloat32);
  at::Tensor unknown = torch::ones({labels.size(0)}, torch::kBool);
  for (const int64_t row : golden.at("known_rows").get<std::vector<int64_t>>()) {
    unknown[row] = false;
  }
  return labels.masked_fill(unknown.unsqueeze(1), kNoNumber);
}

LossOptions OptionsOfKind(const nlohmann::json& one, AnswerKind kind) {
  LossOptions options = LossOptionsOf(one);
  options.answers = kind;
  return options;
}

void CheckKinds(at::ScalarType type, double tolerance) {
  const nlohmann::json all = ReadGolden("answer_losses.json");
  for (const GoldenKind& kind : kGoldenKinds) {
    const nlohmann::json& golden = all.at(kind.name);
    ASSERT_GE(golden.at("cases").size(), 6U);
    for (const nlohmann::json& one : golden.at("cases")) {
      const LossOptions options = OptionsOfKind(one, kind.kind);
      SCOPED_TRACE(::testing::Message() << kind.name << ", " << SpecOf(options.soft).name << ", T "
                                        << options.temperature);
      const at::Tensor student = NumbersOf(golden, "student", type).requires_grad_(true);
      const at::Tensor teacher = NumbersOf(golden, "teacher", type);
      const DistillationLoss loss =
          ComputeDistillationLoss(student, teacher / options.temperature,
                                  LabelsOfKind(golden, kind.kind), options, MaskOf(golden));
      loss.total.backward();
      ExpectLoss(loss, student.grad(), one, tolerance);
    }
  }
}

TEST(GoldenAnswerLosses, EqualPyTorchInFloat64) { CheckKinds(torch::kFloat64, 1e-10); }

TEST(GoldenAnswerLosses, EqualPyTorchInFloat32) { CheckKinds(torch::kFloat32, 2e-5); }

TEST(GoldenAnswerLosses, OfTopKTargetsAtEachPositionEqualPyTorch) {
  const nlohmann::json all = ReadGolden("answer_losses.json");
  const nlohmann::json& golden = all.at("positions");
  ASSERT_EQ(golden.at("top_k_cases").size(), 6U);  // 3 losses x 2 k
  for (const nlohmann::json& one : golden.at("top_k_cases")) {
    SCOPED_TRACE(one.at("name").get<std::string>());
    const TopKTargets targets{
        MatrixOf(one.at("probabilities"), torch::kFloat64),
        MatrixOf(one.at("class_indexes"), torch::kInt64),
        torch::tensor(one.at("tail_mass").get<std::vector<double>>(), torch::kFloat64)};
    const at::Tensor student = NumbersOf(golden, "student", torch::kFloat64).requires_grad_(true);
    const DistillationLoss loss =
        ComputeDistillationLoss(student, targets, LabelsOf(golden),
                                OptionsOfKind(one, AnswerKind::kClasses), MaskOf(golden));
    loss.total.backward();
    ExpectLoss(loss, student.grad(), one, 1e-10);
  }
}

TEST(AnswerLosses, GradientsAreTheDifferencesOfTheLoss) {
  const nlohmann::json all = ReadGolden("answer_losses.json");
  for (const GoldenKind& kind : kGoldenKinds) {
    const nlohmann::json& golden = all.at(kind.name);
    const at::Tensor start = NumbersOf(golden, "student", torch::kFloat64);
    const at::Tensor teacher = NumbersOf(golden, "teacher", torch::kFloat64);
    const at::Tensor labels = LabelsOfKind(golden, kind.kind);
    for (const LossSpec& spec : kSoftLosses) {
      if (!Fits(spec.loss, kind.kind)) continue;
      SCOPED_TRACE(::testing::Message() << kind.name << ", " << spec.name);
      LossOptions options;
      options.soft = spec.loss;
      options.temperature = 3;
      options.answers = kind.kind;
      const auto loss_at = [&](const at::Tensor& student) {
        return ComputeDistillationLoss(student, teacher / 3, labels, options, MaskOf(golden)).total;
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
        EXPECT_NEAR(student.grad().view(-1)[i].item<double>(), slope, 1e-7) << "number " << i;
      }
    }
  }
}

// The bits of a run without positions do not depend on how its rows are given.
TEST(AnswerLosses, RowsThatAllCountGiveTheBitsOfALossWithoutMask) {
  const nlohmann::json all = ReadGolden("answer_losses.json");
  const nlohmann::json& golden = all.at("positions");
  const at::Tensor teacher = NumbersOf(golden, "teacher", torch::kFloat32);
  const at::Tensor labels = LabelsOf(golden);
  const auto compute = [&](const at::Tensor& student, const at::Tensor& mask) {
    const DistillationLoss loss = ComputeDistillationLoss(student, teacher / 4, labels, {}, mask);
    loss.total.backward();
    return loss.total;
  };
  const at::Tensor as_positions = NumbersOf(golden, "student", torch::kFloat32);
  const at::Tensor plain = as_positions.view({-1, 5}).clone().requires_grad_(true);
  const at::Tensor shaped = as_positions.clone().requires_grad_(true);
  const at::Tensor masked = as_positions.clone().requires_grad_(true);
  const at::Tensor wanted = compute(plain, {});
  EXPECT_TRUE(at::equal(compute(shaped, {}), wanted));
  EXPECT_TRUE(at::equal(compute(masked, torch::ones({12}, torch::kBool)), wanted));
  EXPECT_TRUE(at::equal(shaped.grad().view({-1, 5}), plain.grad()));
  EXPECT_TRUE(at::equal(masked.grad().view({-1, 5}), plain.grad()));
}

TEST(AnswerLosses, ARowWhoseMaskIsZeroCountsInNothingWhateverItHolds) {
  const nlohmann::json all = ReadGolden("answer_losses.json");
  for (const GoldenKind& kind : kGoldenKinds) {
    SCOPED_TRACE(kind.name);
    const nlohmann::json& golden = all.at(kind.name);
    LossOptions options;
    options.soft = SoftLoss::kMse;
    options.answers = kind.kind;
    const at::Tensor mask = MaskOf(golden);
    const auto total = [&](double filling) {
      at::Tensor student = NumbersOf(golden, "student", torch::kFloat64);
      const at::Tensor left_out =
          mask.eq(0).view(student.sizes().slice(0, student.dim() - 1)).unsqueeze(-1);
      student = student.masked_fill(left_out, filling);
      const at::Tensor teacher =
          NumbersOf(golden, "teacher", torch::kFloat64).masked_fill(left_out, filling);
      return ComputeDistillationLoss(student, teacher, LabelsOfKind(golden, kind.kind), options,
                                     mask)
          .total.item<double>();
    };
    EXPECT_EQ(total(kNoNumber), total(0));
  }
}

TEST(AnswerLosses, WhereNoRowCountsNothingMoves) {
  const at::Tensor student = torch::ones({3, 2}).requires_grad_(true);
  const DistillationLoss loss = ComputeDistillationLoss(
      student, torch::zeros({3, 2}), torch::zeros({3}, torch::kInt64), {}, torch::zeros({3}));
  EXPECT_FALSE(loss.soft.defined());
  EXPECT_FALSE(loss.hard.defined());
  loss.total.backward();
  EXPECT_EQ(loss.total.item<float>(), 0);
  EXPECT_EQ(student.grad().abs().max().item<float>(), 0);
}

TEST(AnswerLosses, DkdWithoutAnyLabelHasNoTerm) {
  const at::Tensor student = torch::ones({3, 2}).requires_grad_(true);
  LossOptions options;
  options.soft = SoftLoss::kDkd;
  options.labelled = false;
  const DistillationLoss loss = ComputeDistillationLoss(
      student, torch::zeros({3, 2}), torch::full({3}, kNoLabel, torch::kInt64), options);
  EXPECT_FALSE(loss.soft.defined());
  EXPECT_FALSE(loss.dkd_target.defined());
  EXPECT_EQ(loss.total.item<float>(), 0);
}

TEST(AnswerLosses, BitsAsBytesAreBitsAsNumbers) {
  const at::Tensor student = torch::tensor({{0.5, -1.0}, {2.0, 0.25}}, torch::kFloat32);
  const at::Tensor bits = torch::tensor({{1, 0}, {0, 1}}, torch::kUInt8);
  LossOptions options;
  options.answers = AnswerKind::kMultilabel;
  const auto hard = [&](const at::Tensor& labels) {
    return ComputeDistillationLoss(student, student / 4, labels, options).hard.item<float>();
  };
  EXPECT_EQ(hard(bits), hard(bits.to(torch::kFloat32)));
  EXPECT_EQ(hard(bits), hard(bits.view({-1})));
}

// Answers far from 0, where exp would overflow.
TEST(AnswerLosses, SureLabelsHaveFiniteLosses) {
  const at::Tensor student =
      torch::tensor({{-500.0, 500.0}, {90.0, -90.0}}, torch::kFloat32).requires_grad_(true);
  const at::Tensor teacher = torch::tensor({{500.0, 500.0}, {-90.0, -90.0}}, torch::kFloat32);
  const at::Tensor bits = torch::tensor({{1, 1}, {0, 0}}, torch::kUInt8);
  for (const SoftLoss loss : {SoftLoss::kKd, SoftLoss::kReverseKl, SoftLoss::kJsd}) {
    LossOptions options;
    options.soft = loss;
    options.temperature = 1;
    options.answers = AnswerKind::kMultilabel;
    const DistillationLoss computed = ComputeDistillationLoss(student, teacher, bits, options);
    computed.total.backward();
    EXPECT_TRUE(std::isfinite(computed.total.item<float>())) << SpecOf(loss).name;
    EXPECT_TRUE(student.grad().isfinite().all().item<bool>()) << SpecOf(loss).name;
  }
}

// Two samples of three positions, of a shard that holds them the other way round.
TEST(TargetBatch, HoldsThePositionsOfEachSampleOneAfterTheOther) {
  SoftTargetFormat format;
  format.temperature = 2;
  TargetBatch batch(/*batch_size=*/4, /*positions=*/3, /*classes=*/2, format);
  SoftTargetRows rows;
  rows.row_count = 2;
  for (int i = 0; i < 12; ++i) rows.values.push_back(static_cast<float>(i * i % 7));
  batch.Set(0, rows, 1);
  batch.Set(1, rows, 0);
  const at::Tensor shard = torch::tensor(rows.values).view({2, 3, 2});
  const at::Tensor student = torch::arange(12, torch::kFloat32).view({2, 3, 2}).sin();
  const at::Tensor labels = torch::tensor({0, 1, -100, 1, 1, 0}, torch::kInt64).view({2, 3});
  LossOptions options;
  options.temperature = 2;
  EXPECT_TRUE(at::equal(batch.Loss(student, labels, options).total,
                        ComputeDistillationLoss(student, shard.flip(0), labels, options).total));
  // A batch that is not full.
  EXPECT_TRUE(at::equal(
      batch.Loss(student.narrow(0, 0, 1), labels[0], options).total,
      ComputeDistillationLoss(student.narrow(0, 0, 1), shard[1], labels[0], options).total));
}

TEST(TargetBatch, HoldsTheTopKOfEachPosition) {
  SoftTargetFormat format;
  format.encoding = Encoding::kTopK;
  format.top_k = 1;
  TargetBatch batch(/*batch_size=*/1, /*positions=*/2, /*classes=*/3, format);
  SoftTargetRows rows;
  rows.row_count = 2;
  rows.probabilities = {0.5F, 0.6F, 0.7F, 0.8F};
  rows.class_indexes = {0, 1, 2, 0};
  rows.tail_mass = {0.5F, 0.4F, 0.3F, 0.2F};
  batch.Set(0, rows, 1);
  const TopKTargets wanted{torch::tensor({{0.7F}, {0.8F}}),
                           torch::tensor({{2}, {0}}, torch::kInt64), torch::tensor({0.3F, 0.2F})};
  const at::Tensor student = torch::tensor({{{0.1F, 1.0F, 2.0F}, {1.0F, 0.5F, 0.0F}}});
  const at::Tensor labels = torch::tensor({2, 0}, torch::kInt64);
  LossOptions options;
  options.temperature = format.temperature;
  EXPECT_TRUE(at::equal(batch.Loss(student, labels, options).total,
                        ComputeDistillationLoss(student, wanted, labels, options).total));
}

}  // namespace
}  // namespace distillery

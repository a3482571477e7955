// AnswerTally against the same figures made with NumPy.
#include <torch/script.h>

#include <cmath>
#include <limits>

#include "common/nn/answer_tally.h"
#include "tests/golden/golden_file.h"

namespace distillery {
namespace {

at::Tensor FloatsOf(const nlohmann::json& golden, const char* name) {
  return torch::tensor(golden.at(name).get<std::vector<double>>(), torch::kFloat64)
      .to(torch::kFloat32);
}

// What the tally says of the golden answers, which come in two batches: the first three samples,
// and the others.
EvaluationMetrics TallyOf(const nlohmann::json& golden, const AnswerSpec& spec, int64_t count,
                          const at::Tensor& labels) {
  const auto samples = golden.at("samples").get<int64_t>();
  const std::unique_ptr<AnswerTally> tally = AnswerTally::Create(spec, count);
  const at::Tensor answers = FloatsOf(golden, "answers").view({samples, -1});
  const at::Tensor teacher = FloatsOf(golden, "teacher").view({samples, -1});
  const at::Tensor by_sample = labels.view({samples, -1});
  for (const auto& [first, size] : {std::pair<int64_t, int64_t>{0, 3}, {3, samples - 3}}) {
    tally->Add(answers.narrow(0, first, size), by_sample.narrow(0, first, size),
               teacher.narrow(0, first, size));
  }
  EvaluationMetrics metrics = tally->Finish();
  EXPECT_EQ(metrics.sample_count, samples);
  EXPECT_TRUE(CheckEvaluation(metrics).ok()) << CheckEvaluation(metrics);
  return metrics;
}

// Each figure of these that the golden numbers have.
void CheckFigures(const nlohmann::json& golden, const EvaluationMetrics& metrics) {
  int checked = 0;
  const auto check = [&](const char* name, auto figure) {
    if (!golden.contains(name)) return;
    const auto wanted = golden.at(name).get<double>();
    EXPECT_NEAR(static_cast<double>(metrics.*figure), wanted, 1e-5 * (1 + std::abs(wanted)))
        << name;
    ++checked;
  };
  VisitMeasured(check);
  VisitOfKinds([&](const char* name, auto figure, auto /*count*/) { check(name, figure); });
  EXPECT_GE(checked, 4);
}

void CheckList(const nlohmann::json& golden, const char* name, const std::vector<double>& got) {
  const auto wanted = golden.at(name).get<std::vector<double>>();
  ASSERT_EQ(got.size(), wanted.size()) << name;
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-5) << name << i;
}

TEST(GoldenAnswerFigures, OfClassesAtPositionsEqualNumPy) {
  const nlohmann::json all = ReadGolden("answer_figures.json");
  ASSERT_EQ(all.at("classes").size(), 2U);  // tokens and pixels
  for (const nlohmann::json& golden : all.at("classes")) {
    const AnswerSpec spec{AnswerKind::kClasses, golden.at("positions").get<std::vector<int64_t>>()};
    SCOPED_TRACE(spec.positions.size());
    const at::Tensor labels =
        torch::tensor(golden.at("labels").get<std::vector<int64_t>>(), torch::kInt64);
    const EvaluationMetrics metrics =
        TallyOf(golden, spec, golden.at("classes").get<int64_t>(), labels);
    EXPECT_EQ(metrics.has_perplexity(), spec.positions.size() == 1);
    EXPECT_NEAR(metrics.perplexity(), golden.at("perplexity").get<double>(), 1e-4);
    nlohmann::json wanted = golden;
    if (metrics.has_perplexity()) wanted["iou_class_count"] = wanted["mean_iou"] = 0;
    CheckFigures(wanted, metrics);
    int64_t counted = 0;
    for (const int64_t count : metrics.confusion_matrix) counted += count;
    EXPECT_EQ(counted, metrics.position_count);
  }
}

TEST(GoldenAnswerFigures, OfSeveralLabelsEqualNumPy) {
  const nlohmann::json all = ReadGolden("answer_figures.json");
  const nlohmann::json& golden = all.at("multilabel");
  const at::Tensor bits =
      torch::tensor(golden.at("labels").get<std::vector<int64_t>>()).to(torch::kUInt8);
  const EvaluationMetrics metrics =
      TallyOf(golden, {AnswerKind::kMultilabel, {}}, golden.at("count").get<int64_t>(), bits);
  CheckFigures(golden, metrics);
  CheckList(golden, "f1", metrics.f1_per_label);
  CheckList(golden, "average_precision", metrics.average_precision_per_label);
  EXPECT_FALSE(metrics.of_one_class());
}

TEST(GoldenAnswerFigures, OfValuesEqualNumPy) {
  const nlohmann::json all = ReadGolden("answer_figures.json");
  const nlohmann::json& golden = all.at("values");
  const EvaluationMetrics metrics =
      TallyOf(golden, {AnswerKind::kValues, {}}, golden.at("count").get<int64_t>(),
              FloatsOf(golden, "labels"));
  CheckFigures(golden, metrics);
  CheckList(golden, "mean_squared_error_per_value", metrics.mean_squared_error_per_value);
  CheckList(golden, "r2_per_value", metrics.r2_per_value);
  EXPECT_EQ(metrics.agreement_count, 0);
}

TEST(AnswerTally, WithoutATeacherThereIsNoAgreement) {
  const auto tally = AnswerTally::Create({AnswerKind::kClasses, {2}}, 2);
  tally->Add(torch::zeros({1, 2, 2}), torch::zeros({1, 2}, torch::kInt64), {});
  EXPECT_EQ(tally->Finish().agreement_count, -1);
}

TEST(AnswerTally, RowsWithoutALabelCountInNoFigure) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto values = AnswerTally::Create({AnswerKind::kValues, {2}}, 1);
  values->Add(torch::tensor({{1.0F, 50.0F}, {3.0F, 60.0F}}),
              torch::tensor({{2.0F, nan}, {3.0F, nan}}), torch::zeros({2, 2}));
  const EvaluationMetrics metrics = values->Finish();
  EXPECT_EQ(metrics.position_count, 2);
  EXPECT_EQ(metrics.mean_squared_error, 0.5);
  EXPECT_EQ(metrics.teacher_kl, 5);
  // A sample none of whose positions has a label is not right.
  const auto classes = AnswerTally::Create({AnswerKind::kClasses, {2}}, 2);
  classes->Add(torch::zeros({2, 2, 2}), torch::tensor({{0, -100}, {-100, -100}}, torch::kInt64),
               {});
  EXPECT_EQ(classes->Finish().correct_count, 1);
}

// Weights that have diverged answer NaN: the figures say so, and nothing is read out of bounds.
TEST(AnswerTally, AnswersThatAreNoNumbersAreCounted) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const AnswerKindSpec& kind : kAnswerKinds) {
    const auto tally = AnswerTally::Create({kind.kind, {}}, 3);
    const at::Tensor labels =
        kind.labels_each ? torch::ones({2, 3}) : torch::ones({2}, torch::kInt64);
    tally->Add(torch::full({2, 3}, nan), labels, torch::zeros({2, 3}));
    EXPECT_FALSE(tally->Finish().finite()) << kind.name;
  }
}

}  // namespace
}  // namespace distillery

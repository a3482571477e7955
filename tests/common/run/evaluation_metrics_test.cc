#include "common/run/evaluation_metrics.h"

#include <cmath>
#include <limits>

#include "nlohmann/json.hpp"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

EvaluationMetrics SomeMetrics() {
  EvaluationMetrics metrics;
  metrics.sample_count = 10;
  metrics.correct_count = 7;
  metrics.top5_count = 10;
  metrics.samples_per_class = {6, 4};
  metrics.correct_per_class = {5, 2};
  metrics.confusion_matrix = {5, 1, 2, 2};
  // Two sure of themselves by 0.6 of which one is right, eight by 0.9 of which six are.
  metrics.calibration_bins = {{2, 1, 1.2}, {8, 6, 7.2}};
  return metrics;
}

TEST(EvaluationMetrics, TheCalibrationErrorIsTheWeightedGapOfTheBins) {
  // 2/10 |0.5 - 0.6| + 8/10 |0.75 - 0.9|
  EXPECT_NEAR(SomeMetrics().calibration_error(), 0.02 + 0.12, 1e-12);
  EXPECT_EQ(EvaluationMetrics().calibration_error(), 0);
}

TEST(EvaluationMetrics, DetailsAreReadBack) {
  const EvaluationMetrics metrics = SomeMetrics();
  EvaluationMetrics read;
  ASSERT_THAT(DetailsFromJson(DetailsToJson(metrics).dump(), &read), IsOk());
  EXPECT_EQ(read.samples_per_class, metrics.samples_per_class);
  EXPECT_EQ(read.correct_per_class, metrics.correct_per_class);
  EXPECT_EQ(read.confusion_matrix, metrics.confusion_matrix);
  ASSERT_EQ(read.calibration_bins.size(), 2);
  EXPECT_EQ(read.calibration_bins[1].confidence_sum, 7.2);
}

TEST(EvaluationMetrics, DetailsOfLabelsAndValuesAreReadBack) {
  EvaluationMetrics metrics = SomeMetrics();
  const std::string before = DetailsToJson(metrics).dump();
  metrics.f1_per_label = {0.5, 1};
  metrics.average_precision_per_label = {0.25, 0};
  metrics.mean_squared_error_per_value = {3};
  metrics.r2_per_value = {-0.5};
  EvaluationMetrics read;
  ASSERT_THAT(DetailsFromJson(DetailsToJson(metrics).dump(), &read), IsOk());
  EXPECT_EQ(read.f1_per_label, metrics.f1_per_label);
  EXPECT_EQ(read.average_precision_per_label, metrics.average_precision_per_label);
  EXPECT_EQ(read.mean_squared_error_per_value, metrics.mean_squared_error_per_value);
  EXPECT_EQ(read.r2_per_value, metrics.r2_per_value);
  // Those of one class are what they were, and leave nothing of others behind.
  EXPECT_EQ(before,
            R"({"samples_per_class":[6,4],"correct_per_class":[5,2],"confusion_matrix":[5,1,2,2],)"
            R"("calibration_bins":[{"sample_count":2,"correct_count":1,"confidence_sum":1.2},)"
            R"({"sample_count":8,"correct_count":6,"confidence_sum":7.2}]})");
  ASSERT_THAT(DetailsFromJson(before, &read), IsOk());
  EXPECT_TRUE(read.f1_per_label.empty());
  EXPECT_TRUE(read.r2_per_value.empty());
  // JSON has no number for these.
  metrics.r2_per_value = {std::numeric_limits<double>::quiet_NaN()};
  ASSERT_THAT(DetailsFromJson(DetailsToJson(metrics).dump(), &read), IsOk());
  EXPECT_TRUE(read.r2_per_value.empty());
  EXPECT_FALSE(read.f1_per_label.empty());
}

TEST(EvaluationMetrics, FiguresOfKindsAreToldOnlyWhereTheyAreMeasured) {
  EvaluationMetrics metrics = SomeMetrics();
  EXPECT_TRUE(FiguresOfKindsToJson(metrics).empty());
  EXPECT_TRUE(metrics.of_one_class());
  metrics.position_count = 40;
  metrics.correct_position_count = 30;
  metrics.cross_entropy = std::log(4.0);
  EXPECT_EQ(FiguresOfKindsToJson(metrics).dump(),
            R"({"position_count":40,"correct_position_count":30,"top5_position_count":0,)"
            R"("agreement_position_count":0,"perplexity":4.0})");
  metrics.iou_class_count = 3;
  EXPECT_FALSE(FiguresOfKindsToJson(metrics).contains("perplexity"));
  EXPECT_TRUE(FiguresOfKindsToJson(metrics).contains("mean_iou"));
  EvaluationMetrics values;
  values.value_count = 2;
  EXPECT_EQ(FiguresOfKindsToJson(values).dump(),
            R"({"value_count":2,"mean_squared_error":0.0,"r2":0.0,"cosine":0.0})");
  values.held_out_sample_count = 1;
  EXPECT_TRUE(FiguresOfKindsToJson(values).contains("held_out_mean_squared_error"));
  EXPECT_FALSE(values.counts_right());
}

TEST(EvaluationMetrics, HeldOutFiguresAreThoseOfAnswers) {
  EvaluationMetrics metrics = SomeMetrics();
  EvaluationMetrics held_out = SomeMetrics();
  held_out.position_count = 40;
  held_out.correct_position_count = 30;
  held_out.cross_entropy = 0.5;
  held_out.mean_squared_error = 0.25;
  metrics.SetHeldOut(held_out);
  EXPECT_EQ(metrics.held_out_accuracy(), 0.75);
  EXPECT_EQ(metrics.held_out_cross_entropy, 0.5);
  EXPECT_EQ(metrics.held_out_mean_squared_error, 0.25);
  metrics.SetHeldOut(SomeMetrics());
  EXPECT_EQ(metrics.held_out_accuracy(), 0.7);
}

TEST(EvaluationMetrics, AFigureOfAnyKindThatIsNoNumberIsNotFinite) {
  EvaluationMetrics metrics = SomeMetrics();
  EXPECT_TRUE(metrics.finite());
  metrics.r2 = -std::numeric_limits<double>::infinity();
  EXPECT_FALSE(metrics.finite());
}

TEST(EvaluationMetrics, DamagedDetailsAreDataLoss) {
  EvaluationMetrics read;
  for (const char* const json : {"", "{}", "[1]", "{\"samples_per_class\": \"x\"}"}) {
    EXPECT_THAT(DetailsFromJson(json, &read), StatusIs(absl::StatusCode::kDataLoss)) << json;
  }
}

TEST(EvaluationMetrics, CountsThatCannotBeAreRefusedByName) {
  EXPECT_THAT(CheckEvaluation(SomeMetrics()), IsOk());
  const auto refused = [](const char* what) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what));
  };
  EvaluationMetrics metrics = SomeMetrics();
  metrics.sample_count = 0;
  EXPECT_THAT(CheckEvaluation(metrics), refused("sample_count"));
  metrics = SomeMetrics();
  metrics.correct_count = 11;
  EXPECT_THAT(CheckEvaluation(metrics), refused("correct_count"));
  metrics = SomeMetrics();
  metrics.top5_count = -1;
  EXPECT_THAT(CheckEvaluation(metrics), refused("top5_count"));
  metrics = SomeMetrics();
  metrics.agreement_count = 11;
  EXPECT_THAT(CheckEvaluation(metrics), refused("agreement_count"));
  metrics.top5_count = 12;
  EXPECT_THAT(CheckEvaluation(metrics), refused("top5_count"));  // it is looked at first
  metrics = SomeMetrics();
  metrics.confusion_matrix.pop_back();
  EXPECT_THAT(CheckEvaluation(metrics), refused("confusion_matrix"));
  metrics = SomeMetrics();
  metrics.correct_per_class.pop_back();
  EXPECT_THAT(CheckEvaluation(metrics), refused("correct_per_class"));
  metrics = SomeMetrics();
  metrics.calibration_bins.resize(16);
  EXPECT_THAT(CheckEvaluation(metrics), refused("calibration_bins"));
  metrics = SomeMetrics();
  metrics.correct_position_count = 1;
  EXPECT_THAT(CheckEvaluation(metrics), refused("correct_position_count must be 0 to position_c"));
  metrics.position_count = 2;
  EXPECT_THAT(CheckEvaluation(metrics), refused("position_count, got 6"));  // of the first class
  metrics.position_count = 20;
  EXPECT_THAT(CheckEvaluation(metrics), IsOk());
  metrics.label_count = -1;
  EXPECT_THAT(CheckEvaluation(metrics), refused("label_count must be >= 0, got -1"));
  metrics = SomeMetrics();
  metrics.f1_per_label.resize(100'001);
  EXPECT_THAT(CheckEvaluation(metrics), refused("labels.f1"));
}

}  // namespace
}  // namespace distillery

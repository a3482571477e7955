#include "common/run/evaluation_metrics.h"

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
}

}  // namespace
}  // namespace distillery

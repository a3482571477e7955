// What an evaluation measures; see EvaluationMetrics in metrics.proto for units.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "nlohmann/json_fwd.hpp"

namespace distillery {

struct CalibrationBin {
  int64_t sample_count = 0;
  int64_t correct_count = 0;
  double confidence_sum = 0;
};

struct EvaluationMetrics {
  int64_t sample_count = 0;
  int64_t correct_count = 0;
  double cross_entropy = 0;
  int64_t agreement_count = -1;
  int64_t top5_count = 0;
  double teacher_kl = 0;
  // The samples of the guard's split, with a guard.
  int64_t held_out_sample_count = 0;
  int64_t held_out_correct_count = 0;
  double held_out_cross_entropy = 0;
  // Details: by class, by label and choice [classes * classes] (empty for many classes), by
  // confidence.
  std::vector<int64_t> samples_per_class;
  std::vector<int64_t> correct_per_class;
  std::vector<int64_t> confusion_matrix;
  std::vector<CalibrationBin> calibration_bins;

  double accuracy() const {
    return sample_count == 0 ? 0 : static_cast<double>(correct_count) / sample_count;
  }
  double held_out_accuracy() const {
    return held_out_sample_count == 0
               ? 0
               : static_cast<double>(held_out_correct_count) / held_out_sample_count;
  }
  // sum over bins of (n_bin / n) |accuracy_bin - confidence_bin|; Guo et al. 2017, equation 3.
  double calibration_error() const;
  // False if a figure is NaN or infinite, as for weights that have diverged.
  bool finite() const;
  // A copy without the figures by class, which may be many.
  EvaluationMetrics WithoutClasses() const;
};

// These show each figure that is one number, in the order of the proto: its name there and the
// member. VisitMeasured shows the figures of the evaluation split, VisitHeldOut those of the
// guard's.
template <typename Visit>
void VisitMeasured(const Visit& visit) {
  visit("sample_count", &EvaluationMetrics::sample_count);
  visit("correct_count", &EvaluationMetrics::correct_count);
  visit("cross_entropy", &EvaluationMetrics::cross_entropy);
  visit("agreement_count", &EvaluationMetrics::agreement_count);
  visit("top5_count", &EvaluationMetrics::top5_count);
  visit("teacher_kl", &EvaluationMetrics::teacher_kl);
}
template <typename Visit>
void VisitHeldOut(const Visit& visit) {
  visit("held_out_sample_count", &EvaluationMetrics::held_out_sample_count);
  visit("held_out_correct_count", &EvaluationMetrics::held_out_correct_count);
  visit("held_out_cross_entropy", &EvaluationMetrics::held_out_cross_entropy);
}
template <typename Visit>
void VisitEvaluationMetrics(const Visit& visit) {
  VisitMeasured(visit);
  VisitHeldOut(visit);
}

// Classes up to which the confusion matrix is kept.
inline constexpr int64_t kMostConfusionClasses = 100;
// Classes up to which figures are kept by class: one answer must hold them.
inline constexpr int64_t kMostDetailedClasses = 100'000;
inline constexpr int64_t kCalibrationBins = 15;

// INVALID_ARGUMENT, naming the field, for impossible counts. Figures that are not finite are
// allowed: they say that the weights have diverged.
absl::Status CheckEvaluation(const EvaluationMetrics& metrics);

// The details as JSON with the proto's names, and back; DATA_LOSS for what DetailsToJson did not
// write. Both leave out the bins of confidence if these are not finite: JSON cannot hold such
// numbers.
nlohmann::ordered_json DetailsToJson(const EvaluationMetrics& metrics);
absl::Status DetailsFromJson(const std::string& json, EvaluationMetrics* metrics);

}  // namespace distillery

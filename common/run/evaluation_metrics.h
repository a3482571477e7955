// What an evaluation measures; see EvaluationMetrics in metrics.proto for units.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
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
  // Of answers at positions: what counts of them, over all samples.
  int64_t position_count = 0;
  int64_t correct_position_count = 0;
  int64_t top5_position_count = 0;
  int64_t agreement_position_count = 0;
  int64_t iou_class_count = 0;
  double mean_iou = 0;
  // Of several labels.
  int64_t label_count = 0;
  double micro_f1 = 0;
  double macro_f1 = 0;
  int64_t ranked_label_count = 0;
  double mean_average_precision = 0;
  // Of values.
  int64_t value_count = 0;
  double mean_squared_error = 0;
  double r2 = 0;
  double cosine = 0;
  double held_out_mean_squared_error = 0;
  // Details of several labels, and of values.
  std::vector<double> f1_per_label;
  std::vector<double> average_precision_per_label;
  std::vector<double> mean_squared_error_per_value;
  std::vector<double> r2_per_value;

  // One class for a sample, and nothing else.
  bool of_one_class() const { return position_count == 0 && label_count == 0 && value_count == 0; }
  // An answer is right or wrong as a whole.
  bool counts_right() const { return label_count == 0 && value_count == 0; }
  // What was judged: positions if answers have them, else samples.
  int64_t answer_count() const { return position_count > 0 ? position_count : sample_count; }
  int64_t correct_answer_count() const {
    return position_count > 0 ? correct_position_count : correct_count;
  }
  int64_t top5_answer_count() const {
    return position_count > 0 ? top5_position_count : top5_count;
  }
  // -1 without a teacher.
  int64_t agreement_answer_count() const {
    return position_count > 0 && agreement_count >= 0 ? agreement_position_count : agreement_count;
  }
  // Of classes at positions [length]: how many equally likely ones the student hesitates between.
  bool has_perplexity() const {
    return position_count > 0 && iou_class_count == 0 && label_count == 0 && value_count == 0;
  }
  double perplexity() const;
  // Takes the held-out figures from an evaluation of the guard's split.
  void SetHeldOut(const EvaluationMetrics& held_out);

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
// The figures that only some kinds of answers have, each with the count that is above 0 where they
// are measured. What is not measured is 0, and not set in messages.
template <typename Visit>
void VisitOfKinds(const Visit& visit) {
  using Metrics = EvaluationMetrics;
  visit("position_count", &Metrics::position_count, &Metrics::position_count);
  visit("correct_position_count", &Metrics::correct_position_count, &Metrics::position_count);
  visit("top5_position_count", &Metrics::top5_position_count, &Metrics::position_count);
  visit("agreement_position_count", &Metrics::agreement_position_count, &Metrics::position_count);
  visit("iou_class_count", &Metrics::iou_class_count, &Metrics::iou_class_count);
  visit("mean_iou", &Metrics::mean_iou, &Metrics::iou_class_count);
  visit("label_count", &Metrics::label_count, &Metrics::label_count);
  visit("micro_f1", &Metrics::micro_f1, &Metrics::label_count);
  visit("macro_f1", &Metrics::macro_f1, &Metrics::label_count);
  visit("ranked_label_count", &Metrics::ranked_label_count, &Metrics::ranked_label_count);
  visit("mean_average_precision", &Metrics::mean_average_precision, &Metrics::ranked_label_count);
  visit("value_count", &Metrics::value_count, &Metrics::value_count);
  visit("mean_squared_error", &Metrics::mean_squared_error, &Metrics::value_count);
  visit("r2", &Metrics::r2, &Metrics::value_count);
  visit("cosine", &Metrics::cosine, &Metrics::value_count);
  visit("held_out_mean_squared_error", &Metrics::held_out_mean_squared_error,
        &Metrics::value_count);
}
// Whether a figure of VisitOfKinds was measured; `count` is its count there.
template <typename Figure>
bool IsMeasured(const EvaluationMetrics& metrics, Figure figure,
                int64_t EvaluationMetrics::*count) {
  if constexpr (std::is_same_v<Figure, double EvaluationMetrics::*>) {
    const bool of_guard = figure == &EvaluationMetrics::held_out_mean_squared_error;
    if (of_guard && metrics.held_out_sample_count == 0) return false;
  }
  return metrics.*count > 0;
}

// Classes up to which the confusion matrix is kept.
inline constexpr int64_t kMostConfusionClasses = 100;
// Classes up to which figures are kept by class: one answer must hold them.
inline constexpr int64_t kMostDetailedClasses = 100'000;
inline constexpr int64_t kCalibrationBins = 15;
// Answers times labels up to which they are ranked, for average precision: eight bytes each.
inline constexpr int64_t kMostRankedAnswers = int64_t{1} << 25;

// INVALID_ARGUMENT, naming the field, for impossible counts. Figures that are not finite are
// allowed: they say that the weights have diverged.
absl::Status CheckEvaluation(const EvaluationMetrics& metrics);

// The measured ones of VisitOfKinds, and the perplexity, as JSON with the proto's names.
nlohmann::ordered_json FiguresOfKindsToJson(const EvaluationMetrics& metrics);
// The details as JSON with the proto's names, and back; DATA_LOSS for what DetailsToJson did not
// write. Both leave out the bins of confidence, and the figures of labels or values, if these are
// not finite: JSON cannot hold such numbers.
nlohmann::ordered_json DetailsToJson(const EvaluationMetrics& metrics);
absl::Status DetailsFromJson(const std::string& json, EvaluationMetrics* metrics);

}  // namespace distillery

#include "common/run/evaluation_metrics.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace distillery {

double EvaluationMetrics::calibration_error() const {
  double error = 0;
  for (const CalibrationBin& bin : calibration_bins) {
    error += std::abs(static_cast<double>(bin.correct_count) - bin.confidence_sum);
  }
  return sample_count == 0 ? 0 : error / static_cast<double>(sample_count);
}

namespace {

bool FiniteBins(const EvaluationMetrics& metrics) {
  return std::all_of(metrics.calibration_bins.begin(), metrics.calibration_bins.end(),
                     [](const CalibrationBin& bin) { return std::isfinite(bin.confidence_sum); });
}

}  // namespace

bool EvaluationMetrics::finite() const {
  bool finite = FiniteBins(*this);
  VisitEvaluationMetrics([&](const char* /*name*/, auto figure) {
    finite = finite && std::isfinite(static_cast<double>(this->*figure));
  });
  return finite;
}

EvaluationMetrics EvaluationMetrics::WithoutClasses() const {
  EvaluationMetrics metrics;
  VisitEvaluationMetrics(
      [&](const char* /*name*/, auto figure) { metrics.*figure = this->*figure; });
  metrics.calibration_bins = calibration_bins;
  return metrics;
}

absl::Status CheckEvaluation(const EvaluationMetrics& metrics) {
  const auto within = [&](const char* name, int64_t count) {
    if (count >= 0 && count <= metrics.sample_count) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("metrics: ", name, " must be 0 to sample_count, got ", count));
  };
  if (metrics.sample_count < 1) {
    return absl::InvalidArgumentError("metrics: sample_count must be above 0");
  }
  absl::Status measured;
  VisitMeasured([&](const char* name, auto figure) {
    if constexpr (std::is_same_v<decltype(figure), int64_t EvaluationMetrics::*>) {
      if (figure == &EvaluationMetrics::agreement_count) return;
      measured.Update(within(name, metrics.*figure));
    }
  });
  // Below 0 where there was no teacher to agree with.
  measured.Update(within("agreement_count", std::max<int64_t>(0, metrics.agreement_count)));
  if (!measured.ok()) return measured;
  if (metrics.held_out_correct_count < 0 ||
      metrics.held_out_correct_count > metrics.held_out_sample_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics: held_out_correct_count must be 0 to held_out_sample_count, got ",
                     metrics.held_out_correct_count));
  }
  if (metrics.held_out_sample_count < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "metrics: held_out_sample_count must be >= 0, got ", metrics.held_out_sample_count));
  }
  const size_t classes = metrics.samples_per_class.size();
  if (classes > kMostDetailedClasses) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics.details: ", classes, " classes, figures by class are taken of ",
                     kMostDetailedClasses, " at most: leave them out"));
  }
  if (metrics.correct_per_class.size() != classes) {
    return absl::InvalidArgumentError(
        "metrics.details: samples_per_class and correct_per_class differ in length");
  }
  if (!metrics.confusion_matrix.empty() && metrics.confusion_matrix.size() != classes * classes) {
    return absl::InvalidArgumentError(absl::StrCat("metrics.details: confusion_matrix has ",
                                                   metrics.confusion_matrix.size(), " entries, ",
                                                   classes, " classes need ", classes * classes));
  }
  if (metrics.calibration_bins.size() > kCalibrationBins) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics.details: more than ", kCalibrationBins, " calibration_bins"));
  }
  for (const auto* const counts :
       {&metrics.samples_per_class, &metrics.correct_per_class, &metrics.confusion_matrix}) {
    for (const int64_t count : *counts) {
      if (absl::Status status = within("a count of the details", count); !status.ok()) {
        return status;
      }
    }
  }
  for (const CalibrationBin& bin : metrics.calibration_bins) {
    for (const int64_t count : {bin.sample_count, bin.correct_count}) {
      if (absl::Status status = within("a count of calibration_bins", count); !status.ok()) {
        return status;
      }
    }
  }
  return absl::OkStatus();
}

nlohmann::ordered_json DetailsToJson(const EvaluationMetrics& metrics) {
  nlohmann::ordered_json json;
  json["samples_per_class"] = metrics.samples_per_class;
  json["correct_per_class"] = metrics.correct_per_class;
  json["confusion_matrix"] = metrics.confusion_matrix;
  json["calibration_bins"] = nlohmann::ordered_json::array();
  if (!FiniteBins(metrics)) return json;
  for (const CalibrationBin& bin : metrics.calibration_bins) {
    json["calibration_bins"].push_back({{"sample_count", bin.sample_count},
                                        {"correct_count", bin.correct_count},
                                        {"confidence_sum", bin.confidence_sum}});
  }
  return json;
}

absl::Status DetailsFromJson(const std::string& json, EvaluationMetrics* metrics) {
  try {
    const nlohmann::json parsed = nlohmann::json::parse(json);
    parsed.at("samples_per_class").get_to(metrics->samples_per_class);
    parsed.at("correct_per_class").get_to(metrics->correct_per_class);
    parsed.at("confusion_matrix").get_to(metrics->confusion_matrix);
    metrics->calibration_bins.clear();
    for (const nlohmann::json& bin : parsed.at("calibration_bins")) {
      // What older versions wrote of a sum that was no number.
      if (bin.at("confidence_sum").is_null()) {
        metrics->calibration_bins.clear();
        break;
      }
      metrics->calibration_bins.push_back(
          {bin.at("sample_count"), bin.at("correct_count"), bin.at("confidence_sum")});
    }
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(absl::StrCat("details of an evaluation: ", error.what()));
  }
  return absl::OkStatus();
}

}  // namespace distillery

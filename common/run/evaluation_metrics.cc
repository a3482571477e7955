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
  return answer_count() == 0 ? 0 : error / static_cast<double>(answer_count());
}

double EvaluationMetrics::perplexity() const { return std::exp(cross_entropy); }

void EvaluationMetrics::SetHeldOut(const EvaluationMetrics& held_out) {
  held_out_sample_count = held_out.answer_count();
  held_out_correct_count = held_out.correct_answer_count();
  held_out_cross_entropy = held_out.cross_entropy;
  held_out_mean_squared_error = held_out.mean_squared_error;
}

namespace {

bool Finite(const std::vector<double>& figures) {
  return std::all_of(figures.begin(), figures.end(),
                     [](double figure) { return std::isfinite(figure); });
}

// The details of labels and of values: each list's name in the JSON, within its group.
struct FigureList {
  const char* group;
  const char* name;
  std::vector<double> EvaluationMetrics::*figures;
};
constexpr FigureList kFigureLists[] = {
    {"labels", "f1", &EvaluationMetrics::f1_per_label},
    {"labels", "average_precision", &EvaluationMetrics::average_precision_per_label},
    {"values", "mean_squared_error", &EvaluationMetrics::mean_squared_error_per_value},
    {"values", "r2", &EvaluationMetrics::r2_per_value},
};

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
  VisitOfKinds([&](const char* /*name*/, auto figure, auto /*count*/) {
    finite = finite && std::isfinite(static_cast<double>(this->*figure));
  });
  return finite;
}

EvaluationMetrics EvaluationMetrics::WithoutClasses() const {
  EvaluationMetrics metrics;
  VisitEvaluationMetrics(
      [&](const char* /*name*/, auto figure) { metrics.*figure = this->*figure; });
  VisitOfKinds(
      [&](const char* /*name*/, auto figure, auto /*count*/) { metrics.*figure = this->*figure; });
  metrics.calibration_bins = calibration_bins;
  return metrics;
}

namespace {

absl::Status CheckWithin(const char* name, int64_t count, const char* most_name, int64_t most) {
  if (count >= 0 && count <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("metrics: ", name, " must be 0 to ", most_name, ", got ", count));
}

absl::Status CheckCounts(const EvaluationMetrics& metrics) {
  if (metrics.sample_count < 1) {
    return absl::InvalidArgumentError("metrics: sample_count must be above 0");
  }
  absl::Status counts;
  const auto of_samples = [&](const char* name, int64_t count) {
    counts.Update(CheckWithin(name, count, "sample_count", metrics.sample_count));
  };
  VisitMeasured([&](const char* name, auto figure) {
    if constexpr (std::is_same_v<decltype(figure), int64_t EvaluationMetrics::*>) {
      if (figure != &EvaluationMetrics::agreement_count) of_samples(name, metrics.*figure);
    }
  });
  // Below 0 where there was no teacher to agree with.
  of_samples("agreement_count", std::max<int64_t>(0, metrics.agreement_count));
  VisitOfKinds([&](const char* name, auto figure, auto count) {
    if constexpr (std::is_same_v<decltype(figure), int64_t EvaluationMetrics::*>) {
      if (figure != count) {
        counts.Update(CheckWithin(name, metrics.*figure, "position_count", metrics.*count));
      } else if (metrics.*count < 0) {
        counts.Update(absl::InvalidArgumentError(
            absl::StrCat("metrics: ", name, " must be >= 0, got ", metrics.*count)));
      }
    }
  });
  if (metrics.held_out_correct_count < 0 ||
      metrics.held_out_correct_count > metrics.held_out_sample_count) {
    counts.Update(absl::InvalidArgumentError(
        absl::StrCat("metrics: held_out_correct_count must be 0 to held_out_sample_count, got ",
                     metrics.held_out_correct_count)));
  }
  if (metrics.held_out_sample_count < 0) {
    counts.Update(absl::InvalidArgumentError(absl::StrCat(
        "metrics: held_out_sample_count must be >= 0, got ", metrics.held_out_sample_count)));
  }
  return counts;
}

absl::Status CheckDetailSizes(const EvaluationMetrics& metrics) {
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
  for (const FigureList& list : kFigureLists) {
    if (static_cast<int64_t>((metrics.*list.figures).size()) > kMostDetailedClasses) {
      return absl::InvalidArgumentError(absl::StrCat("metrics.details.", list.group, ".", list.name,
                                                     ": more than ", kMostDetailedClasses,
                                                     " figures: leave them out"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDetailCounts(const EvaluationMetrics& metrics) {
  absl::Status counts;
  const char* const most = metrics.position_count > 0 ? "position_count" : "sample_count";
  const auto check = [&](const char* name, int64_t count) {
    counts.Update(CheckWithin(name, count, most, metrics.answer_count()));
  };
  for (const auto* const list :
       {&metrics.samples_per_class, &metrics.correct_per_class, &metrics.confusion_matrix}) {
    for (const int64_t count : *list) check("a count of the details", count);
  }
  for (const CalibrationBin& bin : metrics.calibration_bins) {
    check("a count of calibration_bins", bin.sample_count);
    check("a count of calibration_bins", bin.correct_count);
  }
  return counts;
}

}  // namespace

absl::Status CheckEvaluation(const EvaluationMetrics& metrics) {
  if (absl::Status status = CheckCounts(metrics); !status.ok()) return status;
  if (absl::Status status = CheckDetailSizes(metrics); !status.ok()) return status;
  return CheckDetailCounts(metrics);
}

nlohmann::ordered_json FiguresOfKindsToJson(const EvaluationMetrics& metrics) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  VisitOfKinds([&](const char* name, auto figure, auto count) {
    if (IsMeasured(metrics, figure, count)) json[name] = metrics.*figure;
  });
  if (metrics.has_perplexity()) json["perplexity"] = metrics.perplexity();
  return json;
}

nlohmann::ordered_json DetailsToJson(const EvaluationMetrics& metrics) {
  nlohmann::ordered_json json;
  json["samples_per_class"] = metrics.samples_per_class;
  json["correct_per_class"] = metrics.correct_per_class;
  json["confusion_matrix"] = metrics.confusion_matrix;
  json["calibration_bins"] = nlohmann::ordered_json::array();
  if (FiniteBins(metrics)) {
    for (const CalibrationBin& bin : metrics.calibration_bins) {
      json["calibration_bins"].push_back({{"sample_count", bin.sample_count},
                                          {"correct_count", bin.correct_count},
                                          {"confidence_sum", bin.confidence_sum}});
    }
  }
  for (const FigureList& list : kFigureLists) {
    const std::vector<double>& figures = metrics.*list.figures;
    if (!figures.empty() && Finite(figures)) json[list.group][list.name] = figures;
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
    for (const FigureList& list : kFigureLists) {
      (metrics->*list.figures).clear();
      // Those of one class for a sample, and what older versions wrote, have none.
      if (!parsed.contains(list.group) || !parsed.at(list.group).contains(list.name)) continue;
      parsed.at(list.group).at(list.name).get_to(metrics->*list.figures);
    }
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(absl::StrCat("details of an evaluation: ", error.what()));
  }
  return absl::OkStatus();
}

}  // namespace distillery

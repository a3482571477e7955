// distillery evaluate: accuracy of a model file, and its agreement with a teacher.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/commands/command.h"
#include "cli/models/student_model.h"
#include "cli/runs/evaluation_text.h"
#include "cli/terminal/text_table.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/run/evaluation_metrics.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// "7 (3 times)", or "" if the class was never mistaken or there is no confusion matrix.
std::string MostChosenInstead(const EvaluationMetrics& metrics,
                              const std::vector<std::string>& class_names, size_t label) {
  const size_t classes = metrics.samples_per_class.size();
  if (metrics.confusion_matrix.empty()) return "";
  size_t most = label;
  int64_t count = 0;
  for (size_t choice = 0; choice < classes; ++choice) {
    const int64_t times = metrics.confusion_matrix[label * classes + choice];
    if (choice == label || times <= count) continue;
    most = choice;
    count = times;
  }
  if (count == 0) return "";
  return absl::StrCat(class_names[most], " (", count, count == 1 ? " time)" : " times)");
}

// A table with a line for each class that has samples, most errors first: samples, errors, and the
// class most often chosen in its place.
std::string FormatClassErrors(const EvaluationMetrics& metrics,
                              const std::vector<std::string>& class_names) {
  std::vector<size_t> order;
  for (size_t label = 0; label < metrics.samples_per_class.size(); ++label) {
    if (metrics.samples_per_class[label] > 0) order.push_back(label);
  }
  const auto errors = [&](size_t label) {
    return metrics.samples_per_class[label] - metrics.correct_per_class[label];
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return errors(a) > errors(b); });
  std::vector<std::vector<std::string>> rows = {
      {"class", "samples", "errors", "most often taken for"}};
  for (const size_t label : order) {
    rows.push_back({class_names[label], absl::StrCat(metrics.samples_per_class[label]),
                    absl::StrCat(errors(label)), MostChosenInstead(metrics, class_names, label)});
  }
  return FormatTable(rows);
}

std::string FormatFigure(const std::vector<double>& figures, size_t at) {
  return at < figures.size() ? absl::StrFormat("%.4f", figures[at]) : "-";
}

// Of several labels or of values a line for each, in their order; of classes see above.
std::string FormatDetails(const EvaluationMetrics& metrics,
                          const std::vector<std::string>& class_names) {
  if (metrics.counts_right()) return FormatClassErrors(metrics, class_names);
  const bool of_labels = metrics.label_count > 0;
  std::vector<std::vector<std::string>> rows = {
      of_labels ? std::vector<std::string>{"label", "samples", "F1", "average precision"}
                : std::vector<std::string>{"value", "mean squared error", "R2"}};
  const size_t count =
      of_labels ? metrics.f1_per_label.size() : metrics.mean_squared_error_per_value.size();
  for (size_t i = 0; i < count; ++i) {
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(i < class_names.size() ? class_names[i] : absl::StrCat(i));
    if (of_labels) {
      row.push_back(absl::StrCat(metrics.samples_per_class[i]));
      row.push_back(FormatFigure(metrics.f1_per_label, i));
      row.push_back(FormatFigure(metrics.average_precision_per_label, i));
    } else {
      row.push_back(absl::StrFormat("%.6g", metrics.mean_squared_error_per_value[i]));
      row.push_back(FormatFigure(metrics.r2_per_value, i));
    }
  }
  return FormatTable(rows);
}

class EvaluateCommand : public Command {
 public:
  explicit EvaluateCommand(CommandLine* parent)
      : Command(
            parent, "evaluate",
            "Measure a TorchScript model on a data set: accuracy, errors by class, calibration, "
            "and agreement with a teacher. --json gives the confusion matrix as well.",
            "  distillery evaluate student.pt\n"
            "  distillery evaluate student.pt --teacher teacher.pt --dataset mnist "
            "--data-dir data --json") {
    line_.Add("model", question_.model_path, "TorchScript file").Required();
    line_.Add("--card", question_.card_path, "model card (JSON) for a file that carries none");
    line_.Add("--dataset", question_.dataset.name, "digits (built in), mnist ...").ShowDefault();
    line_.Add("--split", question_.dataset.split, "train, test, fit or validation").ShowDefault();
    line_.Add("--data-dir", question_.data_dir, "folder of data sets, such as DIR/mnist");
    line_.Add("--teacher", question_.teacher_path, "TorchScript file whose choices are compared");
    line_.Add("--teacher-card", question_.teacher_card_path,
              "model card (JSON) for a teacher file that carries none");
    line_.Add("--json", json_, "print the figures as JSON");
  }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const ModelFigures figures, MeasureModel(question_));
    const EvaluationMetrics& metrics = figures.metrics;
    if (json_) {
      nlohmann::ordered_json json;
      json["model"] = question_.model_path;
      json["architecture"] = figures.architecture;
      json["parameter_count"] = figures.parameter_count;
      json["frozen_parameter_count"] = figures.frozen_parameter_count;
      json["file_byte_count"] = figures.file_bytes;
      json["dataset"] = question_.dataset.name + "/" + question_.dataset.split;
      json["sample_count"] = metrics.sample_count;
      if (metrics.value_count == 0) {
        json["correct_count"] = metrics.correct_count;
        json["accuracy"] = metrics.accuracy();
        json["cross_entropy"] = metrics.cross_entropy;
      }
      if (metrics.counts_right()) {
        json["top5_count"] = metrics.top5_count;
        json["calibration_error"] = metrics.calibration_error();
      }
      json.update(FiguresOfKindsToJson(metrics));
      if (metrics.agreement_count >= 0) {
        if (metrics.value_count == 0) json["agreement_count"] = metrics.agreement_count;
        json["teacher_kl"] = metrics.teacher_kl;
      }
      json["class_names"] = figures.class_names;
      json.update(DetailsToJson(metrics));
      std::printf("%s\n", JsonText(json, 2).c_str());
      return absl::OkStatus();
    }
    Print(stdout, "%s: %s, %.1f KB\n", question_.model_path.c_str(),
          DescribeParameters(figures.parameter_count, figures.frozen_parameter_count).c_str(),
          static_cast<double>(figures.file_bytes) / 1000);
    if (metrics.of_one_class()) {
      Print(stdout, "%s/%s: accuracy %s (%lld errors of %lld), cross entropy %.4f\n",
            question_.dataset.name.c_str(), question_.dataset.split.c_str(),
            FormatShare(metrics.correct_count, metrics.sample_count).c_str(),
            static_cast<long long>(metrics.sample_count - metrics.correct_count),
            static_cast<long long>(metrics.sample_count), metrics.cross_entropy);
    } else {
      PrintFigures(metrics);
    }
    if (metrics.counts_right()) {
      Print(stdout, "label among the first five: %s, calibration error %.4f\n",
            FormatShare(metrics.top5_answer_count(), metrics.answer_count()).c_str(),
            metrics.calibration_error());
    }
    if (metrics.agreement_count >= 0 && metrics.value_count == 0) {
      Print(stdout, "agreement with %s: %s, KL(teacher || student) %.4f\n",
            question_.teacher_path.c_str(),
            FormatShare(metrics.agreement_answer_count(), metrics.answer_count()).c_str(),
            metrics.teacher_kl);
    } else if (metrics.agreement_count >= 0) {
      Print(stdout, "mean squared error against %s: %.6g\n", question_.teacher_path.c_str(),
            metrics.teacher_kl);
    }
    std::fputs(("\n" + FormatDetails(metrics, figures.class_names)).c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  // Of other answers than one class for a sample.
  void PrintFigures(const EvaluationMetrics& metrics) const {
    Print(stdout, "%s/%s: %lld samples", question_.dataset.name.c_str(),
          question_.dataset.split.c_str(), static_cast<long long>(metrics.sample_count));
    if (metrics.position_count > 0) {
      Print(stdout, ", %lld positions that count", static_cast<long long>(metrics.position_count));
    }
    Print(stdout, "\n");
    for (const FigureText& figure : FigureTexts(metrics)) {
      Print(stdout, "%s: %s\n", figure.name.c_str(), figure.text.c_str());
    }
  }

  ModelQuestion question_ = {"", "", {"digits", "test", 1000}, "", "", ""};
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeEvaluateCommand(CommandLine* parent) {
  return std::make_unique<EvaluateCommand>(parent);
}

}  // namespace distillery

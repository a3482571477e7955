#include "cli/report/demo_report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/runs/run_text.h"
#include "cli/terminal/text_table.h"
#include "common/base/terminal.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

int64_t Errors(const v1::EvaluationMetrics& metrics) {
  return metrics.sample_count() - metrics.correct_count();
}

// 299018 -> "299,018"
std::string Grouped(int64_t number) {
  std::string text = absl::StrCat(number);
  for (auto at = static_cast<int64_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<size_t>(at), ",");
  }
  return text;
}

std::vector<std::string> ModelRow(const std::string& name, const ModelFigures& figures) {
  const EvaluationMetrics& metrics = figures.metrics;
  return {name,
          Grouped(figures.parameter_count),
          absl::StrFormat("%.1f KB", static_cast<double>(figures.file_bytes) / 1000),
          FormatShare(metrics.correct_count, metrics.sample_count),
          absl::StrFormat("%d of %d", metrics.sample_count - metrics.correct_count,
                          metrics.sample_count),
          FormatShare(metrics.agreement_count, metrics.sample_count)};
}

nlohmann::ordered_json FiguresToJson(const ModelFigures& figures) {
  nlohmann::ordered_json json;
  json["architecture"] = figures.architecture;
  json["parameter_count"] = figures.parameter_count;
  json["file_byte_count"] = figures.file_bytes;
  json["sample_count"] = figures.metrics.sample_count;
  json["correct_count"] = figures.metrics.correct_count;
  json["cross_entropy"] = figures.metrics.cross_entropy;
  if (figures.metrics.agreement_count >= 0) {
    json["agreement_count"] = figures.metrics.agreement_count;
  }
  return json;
}

nlohmann::ordered_json RunsToJson(const std::vector<v1::GetRunResponse>& runs) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const v1::GetRunResponse& run : runs) {
    json.push_back(nlohmann::ordered_json::parse(ToJson(run)));
  }
  return json;
}

double MeanErrors(const std::vector<v1::GetRunResponse>& runs) {
  double sum = 0;
  for (const v1::GetRunResponse& run : runs) {
    sum += static_cast<double>(Errors(run.run().latest_evaluation()));
  }
  return sum / static_cast<double>(runs.size());
}

}  // namespace

std::string FormatGrid(const std::vector<GridPoint>& grid, const StudentPair& chosen) {
  std::vector<std::vector<std::string>> rows = {{"learning rate"}};
  for (const RunSpec* const student : {&chosen.hard, &chosen.distilled}) {
    std::vector<std::string> row = {student->name};
    for (const GridPoint& point : grid) {
      if (point.student != student->name) continue;
      if (student == &chosen.hard) rows[0].push_back(absl::StrCat(point.learning_rate));
      const bool best = point.learning_rate == student->training.learning_rate;
      row.push_back(absl::StrCat(point.error_count, best ? " *" : "  "));
    }
    rows.push_back(std::move(row));
  }
  return FormatTable(rows);
}

std::string FormatReport(const DemoReport& report) {
  std::string text =
      FormatTable({{"", "parameters", "size", "test accuracy", "errors", "agrees with teacher"},
                   ModelRow("teacher", report.teacher),
                   ModelRow("student, hard labels", report.hard),
                   ModelRow("student, distilled", report.distilled),
                   ModelRow("student, distilled, int8", report.distilled_int8)});
  const size_t seeds = report.hard_runs.size();
  if (seeds > 1) {
    const PairedDifference difference = ErrorDifference(report);
    absl::StrAppendFormat(&text,
                          "\nover %d seeds: %.1f errors with hard labels, %.1f distilled; "
                          "paired difference %.1f +- %.1f (95 %% interval)\n",
                          seeds, MeanErrors(report.hard_runs), MeanErrors(report.distilled_runs),
                          difference.mean, difference.half_width);
  }
  return text;
}

PairedDifference ErrorDifference(const DemoReport& report) {
  std::vector<double> differences;
  for (size_t i = 0; i < report.hard_runs.size(); ++i) {
    differences.push_back(
        static_cast<double>(Errors(report.hard_runs[i].run().latest_evaluation()) -
                            Errors(report.distilled_runs[i].run().latest_evaluation())));
  }
  return MeanDifference(differences);
}

std::string ReportToJson(const DemoReport& report) {
  nlohmann::ordered_json json;
  json["dataset"] = report.dataset;
  json["teacher"] = FiguresToJson(report.teacher);
  json["student_hard"] = FiguresToJson(report.hard);
  json["student_distilled"] = FiguresToJson(report.distilled);
  json["student_distilled_int8"] = FiguresToJson(report.distilled_int8);
  for (const GridPoint& point : report.grid) {
    json["learning_rate_grid"].push_back({{"student", point.student},
                                          {"learning_rate", point.learning_rate},
                                          {"validation_error_count", point.error_count},
                                          {"validation_sample_count", point.sample_count}});
  }
  const PairedDifference difference = ErrorDifference(report);
  json["seed_count"] = report.hard_runs.size();
  json["error_difference_mean"] = difference.mean;
  if (std::isfinite(difference.half_width)) {
    json["error_difference_half_width_95"] = difference.half_width;
  }
  json["runs"]["hard"] = RunsToJson(report.hard_runs);
  json["runs"]["distilled"] = RunsToJson(report.distilled_runs);
  return JsonText(json, 2) + "\n";
}

namespace {

ResultTable ModelTable(const DemoReport& report) {
  ResultTable table;
  table.title = "Teacher and students";
  table.columns = {{"model", "", 0},     {"parameters", "", 0}, {"size", "KB", 1},
                   {"accuracy", "%", 2}, {"errors", "", 0},     {"agrees with teacher", "%", 2}};
  const auto add = [&](const std::string& name, const ModelFigures& figures) {
    const EvaluationMetrics& metrics = figures.metrics;
    const auto samples = static_cast<double>(std::max<int64_t>(1, metrics.sample_count));
    const ResultCell agreement =
        metrics.agreement_count < 0
            ? ResultCell()
            : ResultCell(100 * static_cast<double>(metrics.agreement_count) / samples);
    table.rows.push_back({name, static_cast<double>(figures.parameter_count),
                          static_cast<double>(figures.file_bytes) / 1000, 100 * metrics.accuracy(),
                          static_cast<double>(metrics.sample_count - metrics.correct_count),
                          agreement});
  };
  add("teacher", report.teacher);
  add("student, hard labels", report.hard);
  add("student, distilled", report.distilled);
  add("student, distilled, int8", report.distilled_int8);
  table.note = absl::StrCat("On ", report.teacher.metrics.sample_count,
                            " test samples; the students of the first seed.");
  return table;
}

ResultFigure GridFigure(const DemoReport& report) {
  ResultFigure figure;
  figure.title = "Choice of the learning rates";
  figure.x = {"learning rate", "", true};
  figure.y = {"errors on the validation part", "", false};
  for (const GridPoint& point : report.grid) {
    auto series = std::find_if(figure.series.begin(), figure.series.end(),
                               [&](const ResultSeries& one) { return one.name == point.student; });
    if (series == figure.series.end()) {
      series = figure.series.insert(figure.series.end(),
                                    ResultSeries{point.student, {}, {}, {}, {}, {}});
    }
    const auto at = std::upper_bound(series->x.begin(), series->x.end(), point.learning_rate);
    const auto index = at - series->x.begin();
    series->x.insert(at, point.learning_rate);
    series->y.insert(series->y.begin() + index, static_cast<double>(point.error_count));
  }
  figure.note = "Both students take their best rate of the same grid.";
  return figure;
}

ResultFigure ErrorFigure(const DemoReport& report) {
  ResultFigure figure;
  figure.kind = FigureKind::kBars;
  figure.title = "Test errors";
  figure.y = {"errors", "", false};
  ResultSeries series;
  series.name = "errors";
  const auto add = [&](const std::string& name, const ModelFigures& figures) {
    figure.x_labels.push_back(name);
    series.y.push_back(
        static_cast<double>(figures.metrics.sample_count - figures.metrics.correct_count));
  };
  add("teacher", report.teacher);
  add("hard labels", report.hard);
  add("distilled", report.distilled);
  add("distilled, int8", report.distilled_int8);
  figure.series = {std::move(series)};
  return figure;
}

}  // namespace

Results ReportToResults(const DemoReport& report, const std::string& command, double wall_seconds) {
  Results results;
  results.name = "demo";
  results.title = absl::StrCat("Distilled on ", report.dataset);
  results.summary = absl::StrCat(
      "The same student, ", report.distilled.architecture,
      ", trained twice: on hard labels alone, ", "and on the soft targets of a teacher of ",
      report.teacher.parameter_count / std::max<int64_t>(1, report.distilled.parameter_count),
      " times its size.");
  results.dataset = report.dataset;
  results.command = command;
  results.wall_seconds = wall_seconds;
  results.tables = {ModelTable(report)};
  results.figures = {ErrorFigure(report), GridFigure(report)};
  for (const auto* const runs : {&report.distilled_runs, &report.hard_runs}) {
    const bool distilled = runs == &report.distilled_runs;
    for (size_t i = 0; i < runs->size(); ++i) {
      const v1::Run& run = (*runs)[i].run();
      if (distilled) results.seeds.push_back(run.spec().seed());
      ResultRun& one = results.runs.emplace_back();
      one.name = run.spec().name();
      one.run_id = run.run_id();
      one.seed = run.spec().seed();
      one.weights_sha256 = run.weights_sha256();
      one.main = i == 0;
      if (!one.main) continue;
      one.folder = distilled ? "distilled" : "hard";
      one.teacher = "teacher.pt";
    }
  }
  return results;
}

}  // namespace distillery

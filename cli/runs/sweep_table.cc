#include "cli/runs/sweep_table.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/runs/evaluation_text.h"
#include "cli/runs/run_text.h"
#include "cli/terminal/text_table.h"
#include "common/base/terminal.h"
#include "common/rpc/proto_conversion.h"
#include "common/run/sweep.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

double AccuracyOf(const EvaluationMetrics& metrics) {
  return metrics.sample_count == 0 ? -1
                                   : static_cast<double>(metrics.correct_answer_count()) /
                                         static_cast<double>(metrics.answer_count());
}

// Larger is better.
double ScoreOf(const EvaluationMetrics& metrics) {
  if (metrics.sample_count == 0) return -1;
  if (metrics.value_count > 0) return 0;  // see the mean squared error
  return metrics.label_count > 0 ? metrics.mean_average_precision : AccuracyOf(metrics);
}

void SortBestFirst(std::vector<v1::Run>* runs) {
  const auto order = [](const v1::Run& run) {
    const EvaluationMetrics metrics = FromProto(run.latest_evaluation());
    return std::make_tuple(-ScoreOf(metrics), metrics.cross_entropy, metrics.mean_squared_error,
                           run.run_id());
  };
  std::sort(runs->begin(), runs->end(),
            [&](const v1::Run& a, const v1::Run& b) { return order(a) < order(b); });
}

Fields FieldsOf(const v1::Run& run) {
  const auto spec = SubmittedSpec(run.spec());
  return spec.ok() ? FlattenRunSpec(*spec) : Fields();
}

// Positions of the keys in which the runs differ, their names and how they are scheduled aside.
std::vector<size_t> Differences(const std::vector<Fields>& specs) {
  std::vector<size_t> differing;
  for (size_t i = 0; i < specs.front().size(); ++i) {
    const std::string& path = specs.front()[i].first;
    if (path == "name" || absl::StartsWith(path, "scheduling.")) continue;
    const bool differs = std::any_of(specs.begin(), specs.end(), [&](const Fields& fields) {
      return i < fields.size() && fields[i].second != specs.front()[i].second;
    });
    if (differs) differing.push_back(i);
  }
  return differing;
}

}  // namespace

std::string FormatSweep(std::vector<v1::Run> runs) {
  SortBestFirst(&runs);
  std::vector<Fields> specs;
  specs.reserve(runs.size());
  for (const v1::Run& run : runs) specs.push_back(FieldsOf(run));
  const std::vector<size_t> differing = Differences(specs);
  std::vector<std::vector<std::string>> rows = {{"run"}};
  for (const size_t i : differing) rows[0].push_back(specs[0][i].first);
  std::vector<EvaluationMetrics> evaluations;
  evaluations.reserve(runs.size());
  for (const v1::Run& run : runs) evaluations.push_back(FromProto(run.latest_evaluation()));
  const std::vector<std::string> figures = FigureNames(evaluations);
  rows[0].insert(rows[0].end(), figures.begin(), figures.end());
  rows[0].insert(rows[0].end(), {"round", "state"});
  for (size_t r = 0; r < runs.size(); ++r) {
    const v1::Run& run = runs[r];
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(run.run_id());
    for (const size_t i : differing) row.push_back(i < specs[r].size() ? specs[r][i].second : "?");
    for (std::string& text : TextsUnder(figures, evaluations[r])) row.push_back(std::move(text));
    row.push_back(absl::StrCat(run.completed_round_count(), "/", run.spec().training().rounds()));
    row.push_back(RunStateName(run));
  }
  return FormatTable(rows);
}

std::string SweepToJson(std::vector<v1::Run> runs) {
  SortBestFirst(&runs);
  std::vector<Fields> specs;
  specs.reserve(runs.size());
  for (const v1::Run& run : runs) specs.push_back(FieldsOf(run));
  const std::vector<size_t> differing = Differences(specs);
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (size_t r = 0; r < runs.size(); ++r) {
    const v1::Run& run = runs[r];
    nlohmann::ordered_json one;
    one["run_id"] = run.run_id();
    one["sweep"] = run.spec().scheduling().sweep();
    one["state"] = RunStateName(run);
    for (const size_t i : differing) {
      if (i < specs[r].size()) {
        one["values"][specs[r][i].first] = nlohmann::json::parse(specs[r][i].second);
      }
    }
    const EvaluationMetrics metrics = FromProto(run.latest_evaluation());
    if (metrics.sample_count > 0) {
      if (metrics.counts_right()) {
        one["accuracy"] = AccuracyOf(metrics);
        one["errors"] = metrics.answer_count() - metrics.correct_answer_count();
      }
      if (metrics.value_count == 0) one["cross_entropy"] = metrics.cross_entropy;
      one.update(FiguresOfKindsToJson(metrics));
    }
    one["weights_sha256"] = run.weights_sha256();
    json.push_back(std::move(one));
  }
  return JsonText(json, 1) + "\n";
}

}  // namespace distillery

#include "cli/runs/run_comparison.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/runs/evaluation_text.h"
#include "cli/runs/run_text.h"
#include "cli/terminal/text_table.h"
#include "common/base/terminal.h"
#include "common/rpc/proto_conversion.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// "loss.alpha" and so on with both values, where they differ.
struct Difference {
  std::string key;
  std::string a;
  std::string b;
};

void Compare(const nlohmann::ordered_json& a, const nlohmann::ordered_json& b,
             const std::string& prefix, std::vector<Difference>* differences) {
  for (const auto& [key, value] : a.items()) {
    const std::string path = prefix.empty() ? key : absl::StrCat(prefix, ".", key);
    const nlohmann::ordered_json& other = b.contains(key) ? b.at(key) : nlohmann::ordered_json();
    if (value.is_object() && other.is_object()) {
      Compare(value, other, path, differences);
    } else if (value != other) {
      differences->push_back({path, value.dump(), other.dump()});
    }
  }
  // A key that is left out where it is not set.
  for (const auto& [key, value] : b.items()) {
    if (a.contains(key)) continue;
    differences->push_back(
        {prefix.empty() ? key : absl::StrCat(prefix, ".", key), "null", value.dump()});
  }
}

// As it is in a file, with the defaults of what a client left unset: those are no differences.
nlohmann::ordered_json SpecOf(const v1::Run& run) {
  const absl::StatusOr<RunSpec> spec = SubmittedSpec(run.spec());
  return nlohmann::ordered_json::parse(spec.ok() ? RunSpecToJson(*spec) : ToJson(run.spec()));
}

std::vector<Difference> SpecDifferences(const v1::GetRunResponse& a, const v1::GetRunResponse& b) {
  std::vector<Difference> differences;
  Compare(SpecOf(a.run()), SpecOf(b.run()), "", &differences);
  return differences;
}

std::string Accuracy(const v1::EvaluationMetrics& metrics) {
  return MainFigure(FromProto(metrics));
}

std::string Agreement(const EvaluationMetrics& metrics) {
  if (metrics.value_count > 0) return "-";
  return FormatShare(metrics.agreement_answer_count(), metrics.answer_count());
}

// Under the names of OutcomeNames.
std::vector<std::string> OutcomeColumn(const v1::Run& run,
                                       const std::vector<std::string>& figures) {
  const EvaluationMetrics metrics = FromProto(run.latest_evaluation());
  std::vector<std::string> column = {RunStateName(run), absl::StrCat(run.completed_round_count())};
  for (std::string& text : TextsUnder(figures, metrics)) column.push_back(std::move(text));
  column.push_back(Agreement(metrics));
  column.push_back(absl::StrFormat("%.4f", run.latest_round().train().loss()));
  column.push_back(absl::StrCat(run.lost_lease_count()));
  column.push_back(run.weights_sha256().substr(0, 12));
  return column;
}

std::vector<std::string> OutcomeNames(const std::vector<std::string>& figures) {
  std::vector<std::string> names = {"state", "rounds"};
  for (const std::string& figure : figures) {
    const bool of_test = figure == "accuracy" || figure == "errors";
    names.push_back(absl::StrCat(of_test ? "test " : "", figure));
  }
  for (const char* const name :
       {"agrees with teacher", "training loss", "lost leases", "weights SHA-256"}) {
    names.emplace_back(name);
  }
  return names;
}

}  // namespace

std::string FormatComparison(const v1::GetRunResponse& a, const v1::GetRunResponse& b) {
  std::vector<std::vector<std::string>> rows = {{"", a.run().run_id(), b.run().run_id()}};
  for (const Difference& difference : SpecDifferences(a, b)) {
    rows.push_back({difference.key, difference.a, difference.b});
  }
  if (rows.size() == 1) rows.push_back({"(the RunSpecs are equal)"});
  rows.push_back({});
  const std::vector<std::string> figures =
      FigureNames({FromProto(a.run().latest_evaluation()), FromProto(b.run().latest_evaluation())});
  const std::vector<std::string> names = OutcomeNames(figures);
  const std::vector<std::string> left = OutcomeColumn(a.run(), figures);
  const std::vector<std::string> right = OutcomeColumn(b.run(), figures);
  for (size_t i = 0; i < names.size(); ++i) rows.push_back({names[i], left[i], right[i]});
  rows.push_back({});
  rows.push_back({absl::StrCat(figures.front(), " after round")});
  for (int i = 0; i < std::max(a.rounds_size(), b.rounds_size()); ++i) {
    rows.push_back({absl::StrCat(i + 1),
                    i < a.rounds_size() ? Accuracy(a.rounds(i).evaluation()) : "",
                    i < b.rounds_size() ? Accuracy(b.rounds(i).evaluation()) : ""});
  }
  return FormatTable(rows);
}

std::string ComparisonToJson(const v1::GetRunResponse& a, const v1::GetRunResponse& b) {
  nlohmann::ordered_json json;
  json["spec_differences"] = nlohmann::ordered_json::object();
  for (const Difference& difference : SpecDifferences(a, b)) {
    json["spec_differences"][difference.key] = {nlohmann::ordered_json::parse(difference.a),
                                                nlohmann::ordered_json::parse(difference.b)};
  }
  json["runs"] = {nlohmann::ordered_json::parse(ToJson(a)),
                  nlohmann::ordered_json::parse(ToJson(b))};
  return JsonText(json, 2) + "\n";
}

}  // namespace distillery

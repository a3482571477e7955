#include "cli/runs/run_comparison.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
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
  return FormatShare(metrics.correct_count(), metrics.sample_count());
}

std::string Agreement(const v1::EvaluationMetrics& metrics) {
  return FormatShare(metrics.agreement_count(), metrics.sample_count());
}

std::vector<std::string> OutcomeColumn(const v1::Run& run) {
  const v1::EvaluationMetrics& metrics = run.latest_evaluation();
  return {RunStateName(run),
          absl::StrCat(run.completed_round_count()),
          Accuracy(metrics),
          absl::StrCat(metrics.sample_count() - metrics.correct_count()),
          absl::StrFormat("%.4f", metrics.cross_entropy()),
          Agreement(metrics),
          absl::StrFormat("%.4f", run.latest_round().train().loss()),
          absl::StrCat(run.lost_lease_count()),
          run.weights_sha256().substr(0, 12)};
}

}  // namespace

std::string FormatComparison(const v1::GetRunResponse& a, const v1::GetRunResponse& b) {
  std::vector<std::vector<std::string>> rows = {{"", a.run().run_id(), b.run().run_id()}};
  for (const Difference& difference : SpecDifferences(a, b)) {
    rows.push_back({difference.key, difference.a, difference.b});
  }
  if (rows.size() == 1) rows.push_back({"(the RunSpecs are equal)"});
  rows.push_back({});
  static const std::vector<std::string> kNames = {
      "state",         "rounds",        "test accuracy",
      "test errors",   "cross entropy", "agrees with teacher",
      "training loss", "lost leases",   "weights SHA-256"};
  const std::vector<std::string> left = OutcomeColumn(a.run());
  const std::vector<std::string> right = OutcomeColumn(b.run());
  for (size_t i = 0; i < kNames.size(); ++i) rows.push_back({kNames[i], left[i], right[i]});
  rows.push_back({});
  rows.push_back({"accuracy after round"});
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

// distillery runs: the runs of a coordinator, and two of them side by side.
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cli/commands/remote_command.h"
#include "cli/runs/evaluation_text.h"
#include "cli/runs/run_client.h"
#include "cli/runs/run_comparison.h"
#include "cli/runs/run_text.h"
#include "cli/terminal/text_table.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/rpc/proto_conversion.h"

namespace distillery {
namespace {

class RunsCommand : public RemoteCommand {
 public:
  explicit RunsCommand(CommandLine* parent)
      : RemoteCommand(parent, "runs", "List the runs of a coordinator, newest first.",
                      "  distillery runs\n"
                      "  distillery runs compare hard-1a2b3c distilled-4d5e6f\n"
                      "  distillery runs --json | jq -r '.[0].weights_sha256'") {
    compare_ = line_.AddCommand("compare", "Put two runs side by side.");
    compare_.Add("a", compared_[0], "a run's id").Required();
    compare_.Add("b", compared_[1], "another run's id").Required();
  }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    if (compare_.parsed()) return Compare(client);
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<v1::Run> runs, client.List());
    if (json_) {
      std::string text;
      for (const v1::Run& run : runs) {
        absl::StrAppend(&text, text.empty() ? "[" : ",\n ", ToJson(run));
      }
      std::printf("%s]\n", text.empty() ? "[" : text.c_str());
      return absl::OkStatus();
    }
    std::vector<std::vector<std::string>> rows = {
        {"run", "name", "state", "round", "accuracy", "lost leases", "submitted"}};
    for (const v1::Run& run : runs) {
      const v1::EvaluationMetrics& metrics = run.latest_evaluation();
      rows.push_back(
          {run.run_id(), run.spec().name(),
           absl::StrCat(RunStateName(run), run.inexact() ? " (inexact)" : ""),
           absl::StrCat(run.completed_round_count(), "/", run.spec().training().rounds()),
           MainFigure(FromProto(metrics)), absl::StrCat(run.lost_lease_count()),
           absl::FormatTime("%Y-%m-%d %H:%M", absl::FromUnixSeconds(run.submitted_unix_seconds()),
                            absl::LocalTimeZone())});
    }
    // Below each run that does not get on, why: a column would be as wide as the longest reason.
    const std::vector<std::string> lines = absl::StrSplit(FormatTable(rows), '\n');
    Print(stdout, "%s\n", lines[0]);
    for (size_t i = 0; i < runs.size(); ++i) {
      Print(stdout, "%s\n", lines[i + 1]);
      if (!runs[i].state_reason().empty()) Print(stdout, "  %s\n", runs[i].state_reason());
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Compare(const RunClient& client) const {
    DISTILLERY_ASSIGN_OR_RETURN(const v1::GetRunResponse a, client.Get(compared_[0]));
    DISTILLERY_ASSIGN_OR_RETURN(const v1::GetRunResponse b, client.Get(compared_[1]));
    std::fputs((json_ ? ComparisonToJson(a, b) : FormatComparison(a, b)).c_str(), stdout);
    return absl::OkStatus();
  }

  CommandLine compare_;
  std::array<std::string, 2> compared_;
};

}  // namespace

std::unique_ptr<Command> MakeRunsCommand(CommandLine* parent) {
  return std::make_unique<RunsCommand>(parent);
}

}  // namespace distillery

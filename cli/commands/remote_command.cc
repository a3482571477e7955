#include "cli/commands/remote_command.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "cli/runs/progress.h"
#include "cli/runs/run_text.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/base/terminal.h"

namespace distillery {

RemoteCommand::RemoteCommand(CommandLine* parent, const std::string& name,
                             const std::string& description, const std::string& examples)
    : Command(parent, name, description, examples) {
  flags_.AddTo(&line_);
  line_.Add("--json", json_, "print the answer as JSON");
}

void RemoteCommand::AddRunArgument() { line_.Add("run", run_id_, "the run's id").Required(); }

absl::StatusOr<std::vector<v1::GetRunResponse>> RemoteCommand::WatchToEnd(
    const RunClient& client, const std::vector<std::string>& run_ids) {
  ProgressView progress(stderr);
  DISTILLERY_RETURN_IF_ERROR(client.Watch(run_ids, [&](const auto& runs) {
    progress.Show(runs);
    return !StopSignal::Requested();
  }));
  if (StopSignal::Requested()) {
    const bool one = run_ids.size() == 1;
    return absl::CancelledError(
        absl::StrCat("no longer watching; the run", one ? " goes" : "s go", " on: distillery ",
                     one ? absl::StrCat("watch ", run_ids.front()) : std::string("runs"),
                     " --coordinator ", flags_.address));
  }
  std::vector<v1::GetRunResponse> ended;
  for (const std::string& run_id : run_ids) {
    DISTILLERY_ASSIGN_OR_RETURN(ended.emplace_back(), client.Get(run_id));
  }
  return ended;
}

absl::Status RemoteCommand::PrintEnded(const v1::GetRunResponse& ended) {
  const v1::Run& run = ended.run();
  if (json_) {
    std::printf("%s\n", ToJson(ended).c_str());
  } else if (run.state() == v1::RUN_STATE_SUCCEEDED) {
    if (!run.state_reason().empty()) Print(stdout, "%s\n", run.state_reason().c_str());
    Print(stdout, "%s: %s\nweights SHA-256 %s\n", run.run_id().c_str(),
          DescribeEvaluation(run.latest_evaluation()).c_str(), run.weights_sha256().c_str());
  }
  return RunOutcome(run);
}

}  // namespace distillery

// distillery pause, resume, cancel: one call on one run.
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/commands/remote_command.h"
#include "cli/runs/run_client.h"
#include "cli/runs/run_text.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"

namespace distillery {
namespace {

// One call on one run, after which the run's state is printed.
class StateCommand : public RemoteCommand {
 public:
  using Change = absl::StatusOr<v1::Run> (RunClient::*)(const std::string&) const;

  StateCommand(CommandLine* parent, const std::string& name, const std::string& description,
               Change change)
      : RemoteCommand(parent, name, description, absl::StrCat("  distillery ", name, " RUN")),
        change_(change) {
    AddRunArgument();
  }
  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    DISTILLERY_ASSIGN_OR_RETURN(const v1::Run run, (client.*change_)(run_id_));
    if (json_) {
      std::printf("%s\n", ToJson(run).c_str());
    } else {
      Print(stdout, "run %s is %s\n", run.run_id().c_str(), RunStateName(run).c_str());
    }
    return absl::OkStatus();
  }

 private:
  const Change change_;
};

}  // namespace

std::unique_ptr<Command> MakePauseCommand(CommandLine* parent) {
  return std::make_unique<StateCommand>(
      parent, "pause", "Take a run's tasks back and hand out no more of them; what is done stays.",
      &RunClient::Pause);
}
std::unique_ptr<Command> MakeResumeCommand(CommandLine* parent) {
  return std::make_unique<StateCommand>(parent, "resume", "Go on with a paused run.",
                                        &RunClient::Resume);
}
std::unique_ptr<Command> MakeCancelCommand(CommandLine* parent) {
  return std::make_unique<StateCommand>(parent, "cancel", "End a run; its tasks are taken back.",
                                        &RunClient::Cancel);
}

}  // namespace distillery

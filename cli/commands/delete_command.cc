// distillery delete: forgets a run that has ended.
#include <cstdio>
#include <string>

#include "cli/commands/remote_command.h"
#include "cli/runs/run_client.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class DeleteCommand : public RemoteCommand {
 public:
  explicit DeleteCommand(CommandLine* parent)
      : RemoteCommand(parent, "delete", "Forget a run that has ended: its record and its weights.",
                      "  distillery delete RUN\n"
                      "A run that is still going on is cancelled first: distillery cancel RUN") {
    AddRunArgument();
  }
  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    DISTILLERY_RETURN_IF_ERROR(client.Delete(run_id_));
    if (json_) {
      std::printf("%s\n", JsonText(nlohmann::json({{"deleted", run_id_}})).c_str());
    } else {
      Print(stdout, "run %s is deleted\n", run_id_.c_str());
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Command> MakeDeleteCommand(CommandLine* parent) {
  return std::make_unique<DeleteCommand>(parent);
}

}  // namespace distillery

// What the commands have in common that talk to a coordinator.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/commands/command.h"
#include "cli/runs/run_client.h"

namespace distillery {

class RemoteCommand : public Command {
 public:
  // None of these compute.
  absl::StatusOr<std::string> Numerics() override { return std::string(); }

 protected:
  RemoteCommand(CommandLine* parent, const std::string& name, const std::string& description,
                const std::string& examples);
  void AddRunArgument();

  // Shows progress until the runs stand still. CANCELLED on Ctrl-C: the runs themselves go on.
  absl::StatusOr<std::vector<v1::GetRunResponse>> WatchToEnd(
      const RunClient& client, const std::vector<std::string>& run_ids);
  // The figures of a run that stands still; its outcome as the status.
  absl::Status PrintEnded(const v1::GetRunResponse& ended);

  CoordinatorFlags flags_;
  std::string run_id_;
  bool json_ = false;
};

}  // namespace distillery

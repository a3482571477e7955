// `coordinator state check` and `coordinator state export`.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/base/command_line.h"
#include "coordinator/offline/state_check.h"

namespace distillery {

class StateCommand {
 public:
  // Adds "state" and its commands. This must outlive the parsing.
  void AddTo(CommandLine* line);
  // The command line asked for one of them.
  bool parsed() const { return state_.parsed(); }
  // Prints what was found; the process's exit code: 0 sound or exported whole, 1 damaged.
  absl::StatusOr<int> Run() const;

 private:
  absl::StatusOr<int> Check() const;
  absl::StatusOr<int> Export() const;

  CommandLine state_;
  CommandLine check_;
  CommandLine export_;
  std::string folder_;
  StateCheckOptions options_;
  bool json_ = false;
  std::string output_;
  std::string run_;
  std::string weights_;
};

}  // namespace distillery

// `coordinator state check` and `coordinator state export`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/offline/state_check.h"

namespace distillery {

class StateCommand {
 public:
  // Adds "state" and its commands. This must outlive `app`'s parsing.
  void AddTo(CLI::App* app);
  // The command line asked for one of them.
  bool parsed() const { return state_ != nullptr && state_->parsed(); }
  // Prints what was found; the process's exit code: 0 sound or exported whole, 1 damaged.
  absl::StatusOr<int> Run() const;

 private:
  absl::StatusOr<int> Check() const;
  absl::StatusOr<int> Export() const;

  CLI::App* state_ = nullptr;
  CLI::App* check_ = nullptr;
  CLI::App* export_ = nullptr;
  std::string folder_;
  StateCheckOptions options_;
  bool json_ = false;
  std::string output_;
  std::string run_;
  std::string weights_;
};

}  // namespace distillery

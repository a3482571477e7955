// One subcommand of `distillery`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

class Command {
 public:
  virtual ~Command() = default;
  // What main selects by; valid from construction, which adds the subcommand to the app.
  const CLI::App* app() const { return app_; }
  // The numerics that the process must be started with for this command; "" if it does not compute.
  // Called after parsing, before any thread starts.
  virtual absl::StatusOr<std::string> Numerics() { return std::string("fastest"); }
  // Does the work. CANCELLED after Ctrl-C, with how to resume as its message.
  virtual absl::Status Run() = 0;

 protected:
  Command(CLI::App* parent, const std::string& name, const std::string& description,
          const std::string& examples)
      : app_(parent->add_subcommand(name, description)) {
    app_->footer("Examples:\n" + examples);
  }
  CLI::App* const app_;
};

std::unique_ptr<Command> MakeDemoCommand(CLI::App* parent);
std::unique_ptr<Command> MakeExperimentCommand(CLI::App* parent);
std::unique_ptr<Command> MakeRunCommand(CLI::App* parent);
std::unique_ptr<Command> MakeTrainTeacherCommand(CLI::App* parent);
std::unique_ptr<Command> MakeEvaluateCommand(CLI::App* parent);
std::unique_ptr<Command> MakeModelCommand(CLI::App* parent);
std::unique_ptr<Command> MakePredictCommand(CLI::App* parent);
std::unique_ptr<Command> MakeQueryCommand(CLI::App* parent);
std::unique_ptr<Command> MakeDatasetCommand(CLI::App* parent);
std::unique_ptr<Command> MakeCertificatesCommand(CLI::App* parent);
std::unique_ptr<Command> MakeHealthcheckCommand(CLI::App* parent);
std::unique_ptr<Command> MakeCompletionCommand(CLI::App* parent);
std::unique_ptr<Command> MakeSubmitCommand(CLI::App* parent);
std::unique_ptr<Command> MakeRunsCommand(CLI::App* parent);
std::unique_ptr<Command> MakeWatchCommand(CLI::App* parent);
std::unique_ptr<Command> MakePauseCommand(CLI::App* parent);
std::unique_ptr<Command> MakeResumeCommand(CLI::App* parent);
std::unique_ptr<Command> MakeCancelCommand(CLI::App* parent);
std::unique_ptr<Command> MakeDeleteCommand(CLI::App* parent);
std::unique_ptr<Command> MakeSweepCommand(CLI::App* parent);
std::unique_ptr<Command> MakeExportCommand(CLI::App* parent);
std::unique_ptr<Command> MakeReportCommand(CLI::App* parent);

}  // namespace distillery

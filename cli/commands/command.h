// One subcommand of `distillery`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/command_line.h"

namespace distillery {

class Command {
 public:
  virtual ~Command() = default;
  // What main selects by; construction adds it to the program's command line.
  const CommandLine& line() const { return line_; }
  // The numerics that the process must be started with for this command; "" if it does not compute.
  // Called after parsing, before any thread starts.
  virtual absl::StatusOr<std::string> Numerics() { return std::string("fastest"); }
  // Does the work. CANCELLED after Ctrl-C, with how to resume as its message.
  virtual absl::Status Run() = 0;

 protected:
  Command(CommandLine* parent, const std::string& name, const std::string& description,
          const std::string& examples)
      : line_(parent->AddCommand(name, description)) {
    line_.Footer("Examples:\n" + examples);
  }
  CommandLine line_;
};

std::unique_ptr<Command> MakeDemoCommand(CommandLine* parent);
std::unique_ptr<Command> MakeExperimentCommand(CommandLine* parent);
std::unique_ptr<Command> MakeRunCommand(CommandLine* parent);
std::unique_ptr<Command> MakeTrainTeacherCommand(CommandLine* parent);
std::unique_ptr<Command> MakeEvaluateCommand(CommandLine* parent);
std::unique_ptr<Command> MakeModelCommand(CommandLine* parent);
std::unique_ptr<Command> MakePredictCommand(CommandLine* parent);
std::unique_ptr<Command> MakeQueryCommand(CommandLine* parent);
std::unique_ptr<Command> MakeDatasetCommand(CommandLine* parent);
std::unique_ptr<Command> MakeCertificatesCommand(CommandLine* parent);
std::unique_ptr<Command> MakeHealthcheckCommand(CommandLine* parent);
std::unique_ptr<Command> MakeCompletionCommand(CommandLine* parent);
std::unique_ptr<Command> MakeSubmitCommand(CommandLine* parent);
std::unique_ptr<Command> MakeRunsCommand(CommandLine* parent);
std::unique_ptr<Command> MakeWatchCommand(CommandLine* parent);
std::unique_ptr<Command> MakePauseCommand(CommandLine* parent);
std::unique_ptr<Command> MakeResumeCommand(CommandLine* parent);
std::unique_ptr<Command> MakeCancelCommand(CommandLine* parent);
std::unique_ptr<Command> MakeDeleteCommand(CommandLine* parent);
std::unique_ptr<Command> MakeSweepCommand(CommandLine* parent);
std::unique_ptr<Command> MakeExportCommand(CommandLine* parent);
std::unique_ptr<Command> MakeReportCommand(CommandLine* parent);

}  // namespace distillery

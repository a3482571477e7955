// distillery: the command line for people.
#include <memory>
#include <string>
#include <vector>

#include "cli/commands/command.h"
#include "common/base/command_line.h"
#include "common/base/environment.h"
#include "common/base/logging.h"
#include "common/base/stop_signal.h"
#include "common/rpc/initialise.h"

namespace distillery {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  distillery demo\n"
    "      a teacher, three workers and two students on this machine in a minute\n"
    "  distillery run deploy/examples/digits.yaml\n"
    "      one run, all in this process\n"
    "  distillery experiment --list\n"
    "      the tables and figures of the papers, on your own data\n"
    "  distillery query --index 12\n"
    "      what a running teacher thinks of one image, at several temperatures\n"
    "  distillery submit run.yaml --coordinator c.example:7002 --insecure --wait\n"
    "      one run on a coordinator's workers\n"
    "distillery COMMAND --help says more of each.";

int Main(int argc, char** argv) {
  CommandLine line(
      "Knowledge distillation as a service: teachers stream soft targets, workers train "
      "students, a coordinator averages.",
      "distillery");
  LogOptions log;
  log.level = "warning";
  log.to_standard_error = true;
  line.AddCommonFlags(&log);
  line.RequireCommand();
  line.FallThrough();
  line.Footer(kExamples);
  std::vector<std::unique_ptr<Command>> commands;
  for (const auto make :
       {MakeDemoCommand,        MakeExperimentCommand, MakeRunCommand,     MakeTrainTeacherCommand,
        MakeEvaluateCommand,    MakeSubmitCommand,     MakeRunsCommand,    MakeWatchCommand,
        MakePauseCommand,       MakeResumeCommand,     MakeCancelCommand,  MakeDeleteCommand,
        MakeSweepCommand,       MakeExportCommand,     MakeReportCommand,  MakePredictCommand,
        MakeQueryCommand,       MakeModelCommand,      MakeDatasetCommand, MakeCertificatesCommand,
        MakeHealthcheckCommand, MakeCompletionCommand}) {
    commands.push_back(make(&line));
  }
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  ConfigureLogging("distillery", log);
  for (const auto& command : commands) {
    if (!command->line().parsed()) continue;
    const std::string name = "distillery " + command->line().name();
    const auto numerics = command->Numerics();
    if (!numerics.ok()) return ReportStatus(name, numerics.status());
    if (!numerics->empty()) EnsureComputeEnvironment(*numerics, argv);
    StopSignal::Install();
    return ReportStatus(name, command->Run());
  }
  return kExitWrongUsage;
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) {
  distillery::InitialiseRpc();
  return distillery::Main(argc, argv);
}

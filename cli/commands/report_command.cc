// distillery report: a run or an experiment as one HTML file.
#include <cstdio>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/commands/command.h"
#include "cli/report/report_page.h"
#include "cli/report/report_sources.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"

namespace distillery {
namespace {

class ReportCommand : public Command {
 public:
  explicit ReportCommand(CommandLine* parent)
      : Command(
            parent, "report",
            "Draw a run or an experiment as one HTML file, which needs no network: soft targets "
            "of your own samples, losses and accuracy by round, confusion, calibration, who did "
            "which task when.",
            "  distillery report runs/digits -o report.html\n"
            "  distillery report runs/demo -o report.html\n"
            "  distillery report digits-1a2b3c --coordinator c.example:7002 --insecure "
            "--teacher teacher.pt -o report.html\n"
            "RUN_OR_EXPERIMENT is the output folder of `distillery run`, `submit --wait --output` "
            "or `demo`, that of an experiment (with results.json), or a run's id on a "
            "coordinator.") {
    line_.Add("run_or_experiment", source_, "a folder, or a run's id").Required();
    line_.Add("--output,-o", output_, "the HTML file to write").Required();
    line_.Add("--teacher", sources_.teacher_model,
              "the teacher's TorchScript file, if it is not where the run says");
    line_.Add("--teacher-card", sources_.teacher_card,
              "model card (JSON) for a teacher file that carries none");
    line_.Add("--data-dir", sources_.data_dir,
              "folder of data sets, such as DIR/mnist; digits is built in");
    line_.Add("--json", json_path_, "also write what the page shows as a JSON file");
    coordinator_.AddTo(&line_);
  }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const Results results, Gather());
    if (!json_path_.empty()) DISTILLERY_RETURN_IF_ERROR(WriteResults(results, json_path_));
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(output_, RenderReport(results)));
    Print(stdout, "%s\n", output_.c_str());
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<Results> Gather() const {
    const std::string command = absl::StrCat("distillery report ", source_, " -o ", output_);
    if (FileExists(source_ + "/results.json")) return CompleteResults(source_, sources_);
    if (std::filesystem::is_directory(source_)) {
      DISTILLERY_ASSIGN_OR_RETURN(const PanelSources panels, ReadRunFolder(source_, sources_));
      return ResultsOfRun(panels, command);
    }
    if (source_.find('/') != std::string::npos) {
      return absl::NotFoundError(absl::StrCat("there is no folder ", source_));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(coordinator_));
    const std::string student = output_ + ".student.pt";
    absl::StatusOr<Results> results = [&]() -> absl::StatusOr<Results> {
      DISTILLERY_ASSIGN_OR_RETURN(const PanelSources panels,
                                  ReadCoordinatorRun(client, source_, student, sources_));
      return ResultsOfRun(panels, command);
    }();
    DISTILLERY_RETURN_IF_ERROR(RemoveFile(student));
    return results;
  }

  std::string source_;
  std::string output_;
  std::string json_path_;
  RunSources sources_;
  CoordinatorFlags coordinator_;
};

}  // namespace

std::unique_ptr<Command> MakeReportCommand(CommandLine* parent) {
  return std::make_unique<ReportCommand>(parent);
}

}  // namespace distillery

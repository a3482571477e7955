// distillery runs, sweep, pause, resume, cancel, delete,
// export: a coordinator from the command line.
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cli/commands/coordinator_command.h"
#include "cli/models/model_export.h"
#include "cli/runs/run_client.h"
#include "cli/runs/run_comparison.h"
#include "cli/runs/run_folder.h"
#include "cli/runs/sweep_table.h"
#include "cli/terminal/text_table.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class RunsCommand : public CoordinatorCommand {
 public:
  explicit RunsCommand(CLI::App* parent)
      : CoordinatorCommand(parent, "runs", "List the runs of a coordinator, newest first.",
                           "  distillery runs\n"
                           "  distillery runs compare hard-1a2b3c distilled-4d5e6f\n"
                           "  distillery runs --json | jq -r '.[0].weights_sha256'") {
    compare_ = app_->add_subcommand("compare", "Put two runs side by side.");
    compare_->add_option("a", compared_[0], "a run's id")->required();
    compare_->add_option("b", compared_[1], "another run's id")->required();
  }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    if (compare_->parsed()) return Compare(client);
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<v1::Run> runs, client.List());
    if (json_) {
      std::string text;
      for (const v1::Run& run : runs) {
        absl::StrAppend(&text, text.empty() ? "[" : ",\n ", ToJson(run));
      }
      std::printf("%s]\n", text.empty() ? "[" : text.c_str());
      return absl::OkStatus();
    }
    std::vector<std::vector<std::string>> rows = {
        {"run", "name", "state", "round", "accuracy", "lost leases", "submitted"}};
    for (const v1::Run& run : runs) {
      const v1::EvaluationMetrics& metrics = run.latest_evaluation();
      rows.push_back(
          {run.run_id(), run.spec().name(),
           absl::StrCat(RunStateName(run), run.inexact() ? " (inexact)" : ""),
           absl::StrCat(run.completed_round_count(), "/", run.spec().training().rounds()),
           FormatShare(metrics.correct_count(), metrics.sample_count()),
           absl::StrCat(run.lost_lease_count()),
           absl::FormatTime("%Y-%m-%d %H:%M", absl::FromUnixSeconds(run.submitted_unix_seconds()),
                            absl::LocalTimeZone())});
    }
    // Below each run that does not get on, why: a column would be as wide as the longest reason.
    const std::vector<std::string> lines = absl::StrSplit(FormatTable(rows), '\n');
    Print(stdout, "%s\n", lines[0]);
    for (size_t i = 0; i < runs.size(); ++i) {
      Print(stdout, "%s\n", lines[i + 1]);
      if (!runs[i].state_reason().empty()) Print(stdout, "  %s\n", runs[i].state_reason());
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Compare(const RunClient& client) const {
    DISTILLERY_ASSIGN_OR_RETURN(const v1::GetRunResponse a, client.Get(compared_[0]));
    DISTILLERY_ASSIGN_OR_RETURN(const v1::GetRunResponse b, client.Get(compared_[1]));
    std::fputs((json_ ? ComparisonToJson(a, b) : FormatComparison(a, b)).c_str(), stdout);
    return absl::OkStatus();
  }

  CLI::App* compare_ = nullptr;
  std::array<std::string, 2> compared_;
};

// One call on one run, after which the run's state is printed.
class StateCommand : public CoordinatorCommand {
 public:
  using Change = absl::StatusOr<v1::Run> (RunClient::*)(const std::string&) const;

  StateCommand(CLI::App* parent, const std::string& name, const std::string& description,
               Change change)
      : CoordinatorCommand(parent, name, description, absl::StrCat("  distillery ", name, " RUN")),
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

class DeleteCommand : public CoordinatorCommand {
 public:
  explicit DeleteCommand(CLI::App* parent)
      : CoordinatorCommand(
            parent, "delete", "Forget a run that has ended: its record and its weights.",
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

class SweepCommand : public CoordinatorCommand {
 public:
  explicit SweepCommand(CLI::App* parent)
      : CoordinatorCommand(parent, "sweep", "Table of a sweep's runs, the best first.",
                           "  distillery sweep digits-1a2b3c\n"
                           "`distillery submit` of a RunSpec with a sweep prints its id.") {
    app_->add_option("sweep", sweep_, "the sweep's id")->required();
  }
  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<v1::Run> all, client.List());
    std::vector<v1::Run> runs;
    std::vector<std::string> known;
    for (const v1::Run& run : all) {
      const std::string& sweep = run.spec().scheduling().sweep();
      if (sweep == sweep_) runs.push_back(run);
      if (!sweep.empty()) known.push_back(sweep);
    }
    if (runs.empty()) return absl::NotFoundError(UnknownName("sweep", sweep_, known));
    std::fputs((json_ ? SweepToJson(runs) : FormatSweep(runs)).c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  std::string sweep_;
};

class ExportCommand : public CoordinatorCommand {
 public:
  explicit ExportCommand(CLI::App* parent)
      : CoordinatorCommand(parent, "export",
                           "Save a run's student, finished or not, or a model file, as TorchScript "
                           "(.pt), for mobile (.ptl), as safetensors or as ONNX.",
                           "  distillery export RUN --output student.pt\n"
                           "  distillery export RUN --round 3 --output round3.safetensors\n"
                           "  distillery export --model runs/demo/student.pt --output "
                           "student.onnx\n"
                           "  distillery export --model runs/demo/student.pt --int8 --output "
                           "student.ptl") {
    app_->add_option("run", run_id_, "the run's id");
    app_->add_option("--model", model_path_, "a model file instead of a run");
    app_->add_option("--card", card_path_, "model card (JSON) for a model file that carries none");
    app_->add_option("--output", target_.path,
                     "file to write; its ending names the format: .pt, .ptl, .safetensors, .onnx")
        ->required();
    app_->add_flag("--int8", target_.int8,
                   "int8 weights with a scale per channel, for small devices (.pt, .ptl)");
    app_->add_option("--round", round_, "weights W_r; the newest few rounds are kept")
        ->default_str("newest");
    app_->add_option("--student", student_file_,
                     "TorchScript file of the student, for a run whose student is a file");
  }
  absl::Status Run() override {
    if (run_id_.empty() == model_path_.empty()) {
      return absl::InvalidArgumentError("give either a run or --model FILE");
    }
    DISTILLERY_ASSIGN_OR_RETURN(const ExportedFile file, Export());
    if (json_) {
      nlohmann::ordered_json json = {{"file", target_.path},
                                     {"weights_sha256", file.weights_sha256},
                                     {"file_byte_count", file.byte_count}};
      if (target_.int8) json["float32_file_byte_count"] = file.float32_byte_count;
      std::printf("%s\n", JsonText(json).c_str());
      return absl::OkStatus();
    }
    Print(stdout, "%s\n", target_.path.c_str());
    if (target_.int8) Print(stdout, "%s\n", DescribeSizes(file).c_str());
    if (!file.weights_sha256.empty()) {
      Print(stdout, "%s SHA-256 %s\n", target_.int8 ? "float32 weights" : "weights",
            file.weights_sha256.c_str());
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<ExportedFile> Export() {
    if (!model_path_.empty()) return ExportModelFile(model_path_, card_path_, target_);
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    DISTILLERY_ASSIGN_OR_RETURN(const v1::Run run, client.Find(run_id_));
    return ExportStudent(client, run, round_.value_or(-1), target_, student_file_);
  }

  std::string model_path_;
  std::string card_path_;
  ExportTarget target_;
  std::string student_file_;
  std::optional<int64_t> round_;
};

}  // namespace

std::unique_ptr<Command> MakeDeleteCommand(CLI::App* parent) {
  return std::make_unique<DeleteCommand>(parent);
}
std::unique_ptr<Command> MakeSweepCommand(CLI::App* parent) {
  return std::make_unique<SweepCommand>(parent);
}
std::unique_ptr<Command> MakeRunsCommand(CLI::App* parent) {
  return std::make_unique<RunsCommand>(parent);
}
std::unique_ptr<Command> MakeCancelCommand(CLI::App* parent) {
  return std::make_unique<StateCommand>(parent, "cancel", "End a run; its tasks are taken back.",
                                        &RunClient::Cancel);
}
std::unique_ptr<Command> MakePauseCommand(CLI::App* parent) {
  return std::make_unique<StateCommand>(
      parent, "pause", "Take a run's tasks back and hand out no more of them; what is done stays.",
      &RunClient::Pause);
}
std::unique_ptr<Command> MakeResumeCommand(CLI::App* parent) {
  return std::make_unique<StateCommand>(parent, "resume", "Go on with a paused run.",
                                        &RunClient::Resume);
}
std::unique_ptr<Command> MakeExportCommand(CLI::App* parent) {
  return std::make_unique<ExportCommand>(parent);
}

}  // namespace distillery

// distillery submit, runs, watch, cancel, export: a coordinator from the command line.
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "cli/command.h"
#include "cli/model_export.h"
#include "cli/progress.h"
#include "cli/run_client.h"
#include "cli/run_comparison.h"
#include "cli/run_folder.h"
#include "cli/spec_files.h"
#include "cli/text_table.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class CoordinatorCommand : public Command {
 public:
  // None of these compute.
  absl::StatusOr<std::string> Numerics() override { return std::string(); }

 protected:
  CoordinatorCommand(CLI::App* parent, const std::string& name, const std::string& description,
                     const std::string& examples)
      : Command(parent, name, description, examples) {
    flags_.AddTo(app_);
    app_->add_flag("--json", json_, "print the answer as JSON");
  }
  void AddRunArgument() { app_->add_option("run", run_id_, "the run's id")->required(); }

  // Shows progress until the run has ended. CANCELLED on Ctrl-C: the run itself goes on.
  absl::StatusOr<v1::GetRunResponse> WatchToEnd(const RunClient& client,
                                                const std::string& run_id) {
    ProgressView progress(stderr);
    DISTILLERY_RETURN_IF_ERROR(client.Watch({run_id}, [&](const auto& runs) {
      progress.Show(runs);
      return !StopSignal::Requested();
    }));
    if (StopSignal::Requested()) {
      return absl::CancelledError(absl::StrCat(
          "no longer watching; the run goes on: distillery watch ", run_id, " --coordinator ",
          flags_.address));
    }
    return client.Get(run_id);
  }

  absl::Status PrintEnded(const v1::GetRunResponse& ended) {
    if (json_) {
      std::printf("%s\n", ToJson(ended).c_str());
    } else if (ended.run().state() == v1::RUN_STATE_SUCCEEDED) {
      std::printf("%s: %s\nweights SHA-256 %s\n", ended.run().run_id().c_str(),
                  DescribeEvaluation(ended.run().latest_evaluation()).c_str(),
                  ended.run().weights_sha256().c_str());
    }
    return RunOutcome(ended.run());
  }

  CoordinatorFlags flags_;
  std::string run_id_;
  bool json_ = false;
};

class SubmitCommand : public CoordinatorCommand {
 public:
  explicit SubmitCommand(CLI::App* parent)
      : CoordinatorCommand(parent, "submit", "Give a run to a coordinator.",
                           "  distillery submit deploy/examples/digits.yaml\n"
                           "  distillery submit run.yaml --wait --output runs/first") {
    app_->add_option("spec", spec_path_, "the RunSpec, a YAML file")->required();
    app_->add_flag("--wait", wait_, "watch until the run has ended");
    app_->add_option("--output", folder_, "with --wait: folder for the student and the figures");
    app_->add_option("--request-id", request_id_,
                     "submitting again with the same id gives the same run");
  }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(RunSpec spec, ReadRunSpec(spec_path_));
    DISTILLERY_RETURN_IF_ERROR(ResolveStudent(spec_path_, &spec));
    if (!folder_.empty() && !wait_) {
      return absl::InvalidArgumentError("--output needs --wait");
    }
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    DISTILLERY_ASSIGN_OR_RETURN(
        const v1::Run run, client.Submit(request_id_.empty() ? RandomHex(16) : request_id_, spec));
    if (!wait_) {
      std::printf("%s\n", json_ ? ToJson(run).c_str() : run.run_id().c_str());
      return absl::OkStatus();
    }
    std::fprintf(stderr, "run %s\n", run.run_id().c_str());
    DISTILLERY_ASSIGN_OR_RETURN(const auto ended, WatchToEnd(client, run.run_id()));
    if (!folder_.empty() && ended.run().state() == v1::RUN_STATE_SUCCEEDED) {
      DISTILLERY_RETURN_IF_ERROR(WriteRunFolder(client, ended, folder_));
    }
    return PrintEnded(ended);
  }

 private:
  std::string spec_path_;
  std::string folder_;
  std::string request_id_;
  bool wait_ = false;
};

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
    std::fputs(FormatTable(rows).c_str(), stdout);
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

class WatchCommand : public CoordinatorCommand {
 public:
  explicit WatchCommand(CLI::App* parent)
      : CoordinatorCommand(parent, "watch", "Show a run's progress until it has ended.",
                           "  distillery watch RUN\n"
                           "Exit code 0 if the run succeeded. Ctrl-C ends watching, not the run.") {
    AddRunArgument();
  }
  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    DISTILLERY_RETURN_IF_ERROR(client.Get(run_id_).status());
    DISTILLERY_ASSIGN_OR_RETURN(const auto ended, WatchToEnd(client, run_id_));
    return PrintEnded(ended);
  }
};

class CancelCommand : public CoordinatorCommand {
 public:
  explicit CancelCommand(CLI::App* parent)
      : CoordinatorCommand(parent, "cancel", "End a run; its tasks are taken back.",
                           "  distillery cancel RUN") {
    AddRunArgument();
  }
  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    DISTILLERY_ASSIGN_OR_RETURN(const v1::Run run, client.Cancel(run_id_));
    if (json_) {
      std::printf("%s\n", ToJson(run).c_str());
    } else {
      std::printf("run %s is %s\n", run.run_id().c_str(), RunStateName(run).c_str());
    }
    return absl::OkStatus();
  }
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
                           "student.onnx") {
    app_->add_option("run", run_id_, "the run's id");
    app_->add_option("--model", model_path_, "a model file instead of a run");
    app_->add_option("--card", card_path_, "model card (JSON) for a model file that carries none");
    app_->add_option("--output", output_,
                     "file to write; its ending names the format: .pt, .ptl, .safetensors, .onnx")
        ->required();
    app_->add_option("--round", round_, "weights W_r; the newest few rounds are kept")
        ->default_str("newest");
    app_->add_option("--student", student_file_,
                     "TorchScript file of the student, for a run whose student is a file");
  }
  absl::Status Run() override {
    if (run_id_.empty() == model_path_.empty()) {
      return absl::InvalidArgumentError("give either a run or --model FILE");
    }
    DISTILLERY_ASSIGN_OR_RETURN(const std::string sha256, Export());
    if (json_) {
      std::printf("%s\n", nlohmann::ordered_json({{"file", output_}, {"weights_sha256", sha256}})
                              .dump()
                              .c_str());
    } else {
      std::printf("%s\nweights SHA-256 %s\n", output_.c_str(), sha256.c_str());
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<std::string> Export() {
    if (!model_path_.empty()) return ExportModelFile(model_path_, card_path_, output_);
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    DISTILLERY_ASSIGN_OR_RETURN(const auto answer, client.Get(run_id_));
    return ExportStudent(client, answer.run(), round_.value_or(-1), output_, student_file_);
  }

  std::string model_path_;
  std::string card_path_;
  std::string output_;
  std::string student_file_;
  std::optional<int64_t> round_;
};

}  // namespace

std::unique_ptr<Command> MakeSubmitCommand(CLI::App* parent) {
  return std::make_unique<SubmitCommand>(parent);
}
std::unique_ptr<Command> MakeRunsCommand(CLI::App* parent) {
  return std::make_unique<RunsCommand>(parent);
}
std::unique_ptr<Command> MakeWatchCommand(CLI::App* parent) {
  return std::make_unique<WatchCommand>(parent);
}
std::unique_ptr<Command> MakeCancelCommand(CLI::App* parent) {
  return std::make_unique<CancelCommand>(parent);
}
std::unique_ptr<Command> MakeExportCommand(CLI::App* parent) {
  return std::make_unique<ExportCommand>(parent);
}

}  // namespace distillery

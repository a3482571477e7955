// distillery train-teacher: a teacher on hard labels, as a TorchScript file.
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "cli/commands/command.h"
#include "cli/runs/known_settings.h"
#include "cli/runs/local_run.h"
#include "cli/runs/run_text.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/data/catalog.h"
#include "common/model/architecture_plan.h"
#include "common/rpc/proto_conversion.h"
#include "common/run/evaluation_metrics.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class TrainTeacherCommand : public Command {
 public:
  explicit TrainTeacherCommand(CommandLine* parent)
      : Command(parent, "train-teacher",
                "Train a teacher on hard labels and save it as TorchScript with its model card. "
                "Whatever is not given comes from the settings of digits and mnist; any other data "
                "set needs --architecture.",
                "  distillery train-teacher --output teacher.pt\n"
                "  distillery train-teacher --dataset mnist --data-dir data --output mnist.pt\n"
                "  distillery train-teacher --architecture lenet --dataset mnist --data-dir data "
                "--epochs 5 --output lenet.pt\n"
                "  distillery train-teacher --architecture transformer:2-4-64 --dataset lines "
                "--data-dir data --output lines.pt") {
    line_.Add("--output", output_, "the TorchScript file to write").Required();
    line_.Add("--dataset", dataset_, "digits (built in), mnist, or any data set of --data-dir")
        .ShowDefault();
    line_.Add("--data-dir", data_dir_, "folder of data sets, such as DIR/mnist");
    line_.Add("--architecture", architecture_,
              ArchitectureHelp() + ", options ,dropout=P ,input_dropout=P ,causal ,channels_last");
    line_.Add("--picture", picture_,
              "HEIGHTxWIDTH of the pictures that it takes, such as 16x16; default: as the data has "
              "them");
    line_.Add("--epochs", epochs_, "epochs over the training split").Between(1, 1'000'000);
    line_.Add("--learning-rate", learning_rate_, "peak learning rate");
    line_.Add("--seed", seed_, "seed of everything random");
    line_.Add("--device", device_, "where to compute: cpu, cuda or cuda:N").ShowDefault();
    line_.Add("--json", json_, "print the result as JSON");
  }

  absl::Status Run() override {
    LocalRun run;
    DISTILLERY_ASSIGN_OR_RETURN(run.spec, Settings());
    auto& training = run.spec.training;
    if (epochs_.has_value()) {
      training.rounds = *epochs_;
      training.local_epochs = 1;
    }
    if (learning_rate_.has_value()) training.learning_rate = *learning_rate_;
    if (seed_.has_value()) run.spec.seed = *seed_;
    if (!architecture_.empty()) run.spec.student.architecture = architecture_;
    DISTILLERY_ASSIGN_OR_RETURN(run.spec.student.picture, Picture());
    DISTILLERY_RETURN_IF_ERROR(ValidateRunSpec(run.spec));
    run.folder = output_ + ".run";
    run.data_dir = data_dir_;
    run.device = device_;
    run.resume_hint = "the same command goes on from there";
    DISTILLERY_ASSIGN_OR_RETURN(const v1::GetRunResponse ended, DoLocalRun(run));
    DISTILLERY_RETURN_IF_ERROR(RenameDurably(run.folder + "/student.pt", output_));
    return Report(ended);
  }

 private:
  // [height, width], or nothing.
  absl::StatusOr<std::vector<int64_t>> Picture() const {
    std::vector<int64_t> sides;
    if (picture_.empty()) return sides;
    for (const absl::string_view text : absl::StrSplit(picture_, 'x')) {
      int64_t side = 0;
      if (!absl::SimpleAtoi(text, &side) || side < 1) break;
      sides.push_back(side);
    }
    if (sides.size() == 2 && absl::StrCat(sides[0], "x", sides[1]) == picture_) return sides;
    return absl::InvalidArgumentError(
        absl::StrCat("--picture must be HEIGHTxWIDTH such as 16x16, got \"", picture_, "\""));
  }

  absl::StatusOr<RunSpec> Settings() const {
    if (HasKnownSettings(dataset_)) return KnownSettingsFor(dataset_)->teacher;
    DatasetCatalog catalog(data_dir_);
    constexpr int64_t kShardSize = 128;
    DISTILLERY_ASSIGN_OR_RETURN(const auto data, catalog.Open({dataset_, "fit", kShardSize}));
    if (architecture_.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("data set ", dataset_, " (", data->spec().ToString(),
                       ") has no settings of its own: say what network to train with "
                       "--architecture, ",
                       ArchitectureHelp()));
    }
    return TeacherForAnyData(dataset_, data->spec().answer.kind);
  }

  absl::Status Report(const v1::GetRunResponse& ended) const {
    const v1::EvaluationMetrics& metrics = ended.run().latest_evaluation();
    if (json_) {
      nlohmann::ordered_json json;
      json["model"] = output_;
      json["architecture"] = ended.run().spec().student().architecture();
      json["correct_count"] = metrics.correct_count();
      json["sample_count"] = metrics.sample_count();
      json.update(FiguresOfKindsToJson(FromProto(metrics)));
      json["weights_sha256"] = ended.run().weights_sha256();
      std::printf("%s\n", JsonText(json, 2).c_str());
    } else {
      Print(stdout, "teacher %s: %s on the test split\nfigures of each round in %s.run/\n",
            output_.c_str(), DescribeEvaluation(metrics).c_str(), output_.c_str());
    }
    return absl::OkStatus();
  }

  std::string output_;
  std::string dataset_ = "digits";
  std::string data_dir_;
  std::string device_ = "cpu";
  std::string architecture_;
  std::string picture_;
  std::optional<int64_t> epochs_;
  std::optional<double> learning_rate_;
  std::optional<int64_t> seed_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeTrainTeacherCommand(CommandLine* parent) {
  return std::make_unique<TrainTeacherCommand>(parent);
}

}  // namespace distillery

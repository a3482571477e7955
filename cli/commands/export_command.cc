// distillery export: a run's student, or a model file, in the format of another tool.
#include <cstdio>
#include <optional>
#include <string>

#include "cli/commands/remote_command.h"
#include "cli/models/model_export.h"
#include "cli/runs/run_client.h"
#include "cli/runs/run_folder.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

class ExportCommand : public RemoteCommand {
 public:
  explicit ExportCommand(CommandLine* parent)
      : RemoteCommand(parent, "export",
                      "Save a run's student, finished or not, or a model file, as TorchScript "
                      "(.pt), for mobile (.ptl), as safetensors or as ONNX.",
                      "  distillery export RUN --output student.pt\n"
                      "  distillery export RUN --round 3 --output round3.safetensors\n"
                      "  distillery export --model runs/demo/student.pt --output "
                      "student.onnx\n"
                      "  distillery export --model runs/demo/student.pt --int8 --output "
                      "student.ptl") {
    line_.Add("run", run_id_, "the run's id");
    line_.Add("--model", model_path_, "a model file instead of a run");
    line_.Add("--card", card_path_, "model card (JSON) for a model file that carries none");
    line_
        .Add("--output", target_.path,
             "file to write; its ending names the format: .pt, .ptl, .safetensors, .onnx")
        .Required();
    line_.Add("--int8", target_.int8,
              "int8 weights with a scale per channel, for small devices (.pt, .ptl)");
    line_.Add("--round", round_, "weights W_r; the newest few rounds are kept")
        .ShowDefault("newest");
    line_.Add("--student", student_file_,
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

std::unique_ptr<Command> MakeExportCommand(CommandLine* parent) {
  return std::make_unique<ExportCommand>(parent);
}

}  // namespace distillery

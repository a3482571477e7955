#include "cli/models/model_export.h"

#include <torch/script.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/models/onnx_export.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/nn/int8_weights.h"
#include "common/nn/model_file.h"
#include "common/nn/module_weights.h"
#include "common/nn/student.h"

namespace distillery {
namespace {

absl::Status NoInt8Form(const std::string& path) {
  return absl::InvalidArgumentError(
      absl::StrCat("int8 weights are for .pt (TorchScript) and .ptl (mobile), not for ", path,
                   ": export the float32 model to it, without --int8"));
}

absl::StatusOr<std::string> Serialize(const torch::jit::Module& module, const ModelCard& card,
                                      const Weights& weights, const std::string& path) {
  if (absl::EndsWith(path, ".ptl")) return SerializeForMobile(module, card);
  if (absl::EndsWith(path, ".pt")) return SerializeModel(module, card);
  if (HasInt8Weights(module)) return NoInt8Form(path);
  if (weights.layout().tensors().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the model has no parameters that ", path,
        " could hold: those of a frozen model "
        "are constants of its code, without names. Export the model that was frozen, or "
        "write .pt or .ptl"));
  }
  if (absl::EndsWith(path, ".safetensors")) return weights.file();
  if (card.architecture.empty()) {
    return absl::InvalidArgumentError(
        "ONNX is for the built-in architectures; export this model from Python, with "
        "torch.onnx.export");
  }
  return SerializeOnnx(card.architecture, card.samples, card.class_count(), ModelCardToJson(card),
                       weights);
}

absl::StatusOr<ExportedFile> Export(torch::jit::Module& module, const ModelCard& card,
                                    const Weights& weights, const ExportTarget& target) {
  if (module.hasattr("training")) module.eval();
  DISTILLERY_ASSIGN_OR_RETURN(std::string bytes, Serialize(module, card, weights, target.path));
  ExportedFile file;
  if (!weights.layout().tensors().empty()) file.weights_sha256 = weights.Sha256();
  if (target.int8) {
    file.float32_byte_count = static_cast<int64_t>(bytes.size());
    const absl::StatusOr<torch::jit::Module> int8 = WithInt8Weights(module);
    if (!int8.ok()) return Annotate(int8.status(), absl::StrCat("cannot make ", target.path));
    DISTILLERY_ASSIGN_OR_RETURN(bytes, Serialize(*int8, card, weights, target.path));
  }
  file.byte_count = static_cast<int64_t>(bytes.size());
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(FolderOf(target.path)));
  DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(target.path, bytes));
  return file;
}

}  // namespace

absl::Status CheckExportTarget(const ExportTarget& target) {
  for (const char* const ending : {".pt", ".ptl"}) {
    if (absl::EndsWith(target.path, ending)) return absl::OkStatus();
  }
  for (const char* const ending : {".safetensors", ".onnx"}) {
    if (!absl::EndsWith(target.path, ending)) continue;
    return target.int8 ? NoInt8Form(target.path) : absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("cannot tell the format of ", target.path,
                                                 ": end it in .pt (TorchScript), .ptl (mobile), "
                                                 ".safetensors or .onnx"));
}

absl::StatusOr<ExportedFile> ExportStudentTo(const StudentExport& student,
                                             const ExportTarget& target) {
  DISTILLERY_RETURN_IF_ERROR(CheckExportTarget(target));
  DISTILLERY_ASSIGN_OR_RETURN(const ModelCard card, ParseModelCard(student.card));
  DISTILLERY_ASSIGN_OR_RETURN(torch::jit::Module module,
                              BuildStudent({student.architecture, student.file, student.digest},
                                           card, /*seed=*/std::nullopt));
  DISTILLERY_RETURN_IF_ERROR(LoadWeights(*student.weights, module));
  return Export(module, card, *student.weights, target);
}

absl::StatusOr<ExportedFile> ExportModelFile(const std::string& model_path,
                                             const std::string& card_path,
                                             const ExportTarget& target) {
  DISTILLERY_RETURN_IF_ERROR(CheckExportTarget(target));
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model, LoadModelWithCard(model_path, card_path));
  DISTILLERY_ASSIGN_OR_RETURN(const Weights weights, WeightsOf(model.module));
  NoteKeptInEval(model.modules_in_eval, model.module);
  return Export(model.module, model.card, weights, target);
}

std::string DescribeSizes(const ExportedFile& file) {
  return absl::StrFormat("int8: %.1f KB, float32: %.1f KB",
                         static_cast<double>(file.byte_count) / 1000,
                         static_cast<double>(file.float32_byte_count) / 1000);
}

}  // namespace distillery

#include "cli/model_export.h"

#include <torch/script.h>

#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/onnx_export.h"
#include "cli/student_model.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/model/model_file.h"
#include "common/model/module_weights.h"
#include "common/model/numerics.h"
#include "common/model/student.h"

namespace distillery {
namespace {

absl::Status SaveForMobile(const std::string& path, const torch::jit::Module& module,
                           const ModelCard& card) {
  std::ostringstream stream;
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    module._save_for_mobile(stream, {{kCardName, ModelCardToJson(card)}});
    return absl::OkStatus();
  }));
  return WriteFileDurably(path, stream.str());
}

absl::Status Export(torch::jit::Module& module, const ModelCard& card, const Weights& weights,
                    const std::string& path) {
  DISTILLERY_RETURN_IF_ERROR(CheckExportPath(path));
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(FolderOf(path)));
  if (absl::EndsWith(path, ".safetensors")) return WriteFileDurably(path, weights.file());
  if (absl::EndsWith(path, ".onnx")) {
    if (card.architecture.empty()) {
      return absl::InvalidArgumentError(
          "ONNX is for the built-in architectures; export this model from Python, with "
          "torch.onnx.export");
    }
    return SaveOnnx(card.architecture, card, weights, path);
  }
  if (module.hasattr("training")) module.eval();
  return absl::EndsWith(path, ".ptl") ? SaveForMobile(path, module, card)
                                      : SaveModel(path, module, card);
}

}  // namespace

absl::Status CheckExportPath(const std::string& path) {
  for (const char* const ending : {".pt", ".ptl", ".safetensors", ".onnx"}) {
    if (absl::EndsWith(path, ending)) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot tell the format of ", path, ": end it in .pt (TorchScript), .ptl (mobile), "
      ".safetensors or .onnx"));
}

absl::Status ExportStudentTo(const StudentExport& student, const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(const ModelCard card, ParseModelCard(student.card));
  DISTILLERY_ASSIGN_OR_RETURN(
      torch::jit::Module module,
      BuildStudent({student.architecture, student.file, student.digest}, card, /*seed=*/0));
  DISTILLERY_RETURN_IF_ERROR(LoadWeights(*student.weights, module));
  return Export(module, card, *student.weights, path);
}

absl::StatusOr<std::string> ExportModelFile(const std::string& model_path,
                                            const std::string& card_path,
                                            const std::string& path) {
  DISTILLERY_RETURN_IF_ERROR(CheckExportPath(path));
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model, LoadModelWithCard(model_path, card_path));
  DISTILLERY_ASSIGN_OR_RETURN(const Weights weights, WeightsOf(model.module));
  DISTILLERY_RETURN_IF_ERROR(Export(model.module, model.card, weights, path));
  return weights.Sha256();
}

}  // namespace distillery

#include "common/nn/weights_file.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/nn/model_file.h"
#include "common/nn/model_format.h"
#include "common/nn/module_weights.h"

namespace distillery {

absl::StatusOr<Weights> ReadWeights(const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxModelBytes));
  if (FormatOf(bytes).kind == ModelFormat::Kind::kSafetensors) {
    absl::StatusOr<Weights> weights = Weights::FromFile(std::move(bytes));
    if (!weights.ok()) return Annotate(weights.status(), path);
    return weights;
  }
  DISTILLERY_ASSIGN_OR_RETURN(const ModelFile file, ParseTorchScript(path, std::move(bytes)));
  absl::StatusOr<Weights> weights = WeightsOf(file.module);
  if (!weights.ok()) return Annotate(weights.status(), path);
  if (weights->layout().tensors().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     " has no parameters: those of a frozen or int8 model are constants of its "
                     "code, without names. Take the model that it was made from"));
  }
  return weights;
}

}  // namespace distillery

#include "common/model/student.h"

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/model/architecture.h"
#include "common/model/int8_weights.h"
#include "common/model/model_file.h"

namespace distillery {

absl::StatusOr<torch::jit::Module> BuildStudent(const StudentSource& source, const ModelCard& card,
                                                std::optional<int64_t> seed) {
  if (!source.architecture.empty()) {
    return BuildArchitecture(source.architecture, card.input_shape, card.class_count(), seed);
  }
  const absl::StatusOr<LoadedModel> loaded = LoadModel(source.file, card);
  const std::string name = BaseName(source.file);
  if (!loaded.ok()) return Annotate(loaded.status(), absl::StrCat("student ", name));
  if (!source.digest.empty() && loaded->sha256 != source.digest) {
    return absl::FailedPreconditionError(absl::StrCat("student ", name, " has SHA-256 ",
                                                      loaded->sha256, ", expected ",
                                                      source.digest));
  }
  torch::jit::Module module = loaded->module;
  if (HasInt8Weights(module)) {
    return absl::InvalidArgumentError(
        absl::StrCat("student ", name, " has int8 weights, which gradients cannot move: train the "
                     "float32 student it was made from, then distillery export --int8"));
  }
  // torch.jit.freeze takes both away.
  if (!module.hasattr("training") || module.parameters().size() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("student ", name, " has no trainable parameters: it is frozen "
                     "(torch.jit.freeze), which is right for a teacher; save the student with "
                     "torch.jit.script(m).save alone"));
  }
  module.train();
  return module;
}

}  // namespace distillery

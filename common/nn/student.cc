#include "common/nn/student.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/nn/architecture.h"
#include "common/nn/int8_weights.h"
#include "common/nn/model_file.h"
#include "common/nn/tied_parameters.h"

namespace distillery {
namespace {

void PutInEval(torch::jit::Module& module) {
  if (!module.hasattr(kKeptInEval)) return;
  const auto kept = module.attr(kKeptInEval).to<std::vector<std::string>>();
  for (const auto& part : module.named_modules()) {
    if (std::find(kept.begin(), kept.end(), part.name) == kept.end()) continue;
    torch::jit::Module quiet = part.value;
    quiet.setattr("training", false);
  }
}

}  // namespace

void NoteKeptInEval(const std::vector<std::string>& names, torch::jit::Module& module) {
  if (names.empty() || module.hasattr(kKeptInEval)) return;
  module.register_attribute(kKeptInEval, c10::ListType::ofStrings(), names);
}

absl::StatusOr<torch::jit::Module> BuildStudent(const StudentSource& source, const ModelCard& card,
                                                std::optional<int64_t> seed) {
  if (!source.architecture.empty()) {
    return BuildArchitecture(source.architecture, card.samples, card.class_count(), seed);
  }
  const absl::StatusOr<LoadedModel> loaded = LoadStudentModel(source.file, card);
  const std::string name = BaseName(source.file);
  if (!loaded.ok()) return Annotate(loaded.status(), absl::StrCat("student ", name));
  if (!source.digest.empty() && loaded->sha256 != source.digest) {
    return absl::FailedPreconditionError(absl::StrCat(
        "student ", name, " has SHA-256 ", loaded->sha256, ", expected ", source.digest));
  }
  return StudentOf(loaded->module, name, loaded->modules_in_eval);
}

absl::StatusOr<torch::jit::Module> StudentOf(torch::jit::Module module, const std::string& name,
                                             const std::vector<std::string>& modules_in_eval) {
  if (HasInt8Weights(module)) {
    return absl::InvalidArgumentError(
        absl::StrCat("student ", name,
                     " has int8 weights, which gradients cannot move: train the "
                     "float32 student it was made from, then distillery export --int8"));
  }
  // torch.jit.freeze takes both away.
  if (!module.hasattr("training") || module.parameters().size() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("student ", name,
                     " has no trainable parameters: it is frozen "
                     "(torch.jit.freeze), which is right for a teacher; save the student with "
                     "torch.jit.script(m).save alone"));
  }
  UniteTies(module);
  module.train();
  NoteKeptInEval(modules_in_eval, module);
  PutInEval(module);
  return module;
}

absl::Status NotLogits(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("in training its forward returns ", what,
                                                 ", not one tensor of logits [rows, classes] as in "
                                                 "evaluation: let it return the logits alone in "
                                                 "both modes (auxiliary outputs are not trained)"));
}

absl::StatusOr<at::Tensor> TrainingLogits(torch::jit::Module& module,
                                          const std::vector<at::Tensor>& inputs,
                                          const AnswerShape& answer) {
  const c10::IValue result = module.forward({inputs.begin(), inputs.end()});
  if (!result.isTensor()) return NotLogits(result.type()->repr_str());
  const at::Tensor logits = result.toTensor();
  const int64_t rows = inputs.front().size(0);
  std::vector<int64_t> wanted = answer.SizesFor(rows);
  wanted.push_back(answer.classes);
  if (logits.sizes() == at::IntArrayRef(wanted)) return logits.to(torch::kFloat32);
  const std::vector<int64_t>& positions = answer.answer.positions;
  return NotLogits(absl::StrCat(
      "a tensor [", absl::StrJoin(logits.sizes(), ", "), "] for ", rows, " rows",
      positions.empty() ? "" : absl::StrCat(" of ", absl::StrJoin(positions, " x "), " positions"),
      " and ", answer.classes, " ", SpecOf(answer.answer.kind).noun));
}

}  // namespace distillery

#include "common/nn/student_check.h"

#include <torch/script.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/model/card.h"
#include "common/nn/model_file.h"
#include "common/nn/model_probe.h"
#include "common/nn/module_weights.h"
#include "common/nn/numerics.h"
#include "common/nn/student.h"
#include "common/nn/tied_parameters.h"
#include "common/nn/training_flags.h"

namespace distillery {
namespace {

absl::Status CheckParameters(const torch::jit::Module& module) {
  const std::vector<NamedTensor> parameters = DistinctParameters(module);
  int64_t trained = 0;
  for (const auto& [name, tensor] : parameters) {
    if (!tensor.requires_grad()) continue;
    trained += tensor.numel();
    if (tensor.scalar_type() == at::kFloat) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("parameter \"", name, "\" is ", c10::toString(tensor.scalar_type()),
                     ", and only float32 is trained: save the model after m.float(), or freeze it "
                     "(requires_grad = False)"));
  }
  if (trained > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "there is nothing to train: all ", parameters.size(),
      " parameters are frozen (requires_grad = False); call requires_grad_(True) on those that are "
      "to learn before torch.jit.script(m).save"));
}

// The dotted name of the layer: that of its own parameters, or of the submodule that calls it.
std::string NameOf(const torch::jit::Module& module, const FlaggedLayer& layer) {
  for (const auto& parameter : module.named_parameters()) {
    for (const at::Tensor& own : {layer.weight, layer.bias}) {
      if (!own.defined() || !own.is_same(parameter.value)) continue;
      return parameter.name.substr(0, parameter.name.rfind('.'));
    }
  }
  return layer.module;
}

std::string Describe(const torch::jit::Module& module, const FlaggedLayer& layer) {
  const std::string name = NameOf(module, layer);
  std::string text = name.empty() ? absl::StrCat("a ", layer.operation, " of forward")
                                  : absl::StrCat(layer.operation, " \"", name, "\"");
  if (layer.rate.has_value()) absl::StrAppend(&text, " (p = ", *layer.rate, ")");
  return text;
}

bool HasFrozenParameters(const FlaggedLayer& layer) {
  const auto trained = [](const at::Tensor& tensor) {
    return tensor.defined() && tensor.requires_grad();
  };
  return (layer.weight.defined() || layer.bias.defined()) && !trained(layer.weight) &&
         !trained(layer.bias);
}

// Whether the file's author put the submodule in eval mode for good.
bool IsKeptInEval(const torch::jit::Module& module, const std::string& name) {
  const std::vector<std::string> kept = ModulesInEval(module);
  return std::find(kept.begin(), kept.end(), name) != kept.end();
}

// "" if the layer does in this mode what the mode says, else what it does.
std::string Fault(const torch::jit::Module& module, const FlaggedLayer& layer, bool training) {
  // Here no submodule's own mode counts: what is not the mode's is a constant.
  if (!layer.training.has_value() || *layer.training == training) return "";
  const bool dropout = layer.kind == FlaggedLayer::Kind::kDropout;
  if (dropout && layer.rate.value_or(1) == 0) return "";
  // Without running statistics an instance is normalised by its own in either mode.
  if (layer.operation == "instance_norm" && !layer.has_statistics) return "";
  constexpr char kConstant[] = "its flag is a constant of the code, as torch.jit.trace writes it";
  if (!training) {
    if (dropout) {
      return absl::StrCat("stays on in evaluation, for ", kConstant,
                          ": pass training=self.training and save with torch.jit.script(m)");
    }
    return absl::StrCat(
        "uses each batch's own statistics in evaluation: give it running statistics "
        "(track_running_stats=True), and save with torch.jit.script(m), since torch.jit.trace "
        "makes "
        "the mode a constant");
  }
  if (HasFrozenParameters(layer) || IsKeptInEval(module, NameOf(module, layer))) return "";
  if (dropout) {
    return absl::StrCat("is off in training too, for ", kConstant,
                        ": save with torch.jit.script(m); to train without dropout, set p = 0");
  }
  return absl::StrCat("does not learn its statistics in training, for ", kConstant,
                      ": save with torch.jit.script(m); if it is to stand still, set "
                      "requires_grad = False on its weight and bias");
}

}  // namespace

absl::Status CheckTrainable(const torch::jit::Module& module) {
  DISTILLERY_RETURN_IF_ERROR(CheckParameters(module));
  DISTILLERY_RETURN_IF_ERROR(CheckLayout(module));
  DISTILLERY_RETURN_IF_ERROR(CheckSharedMemory(module));
  std::string first;
  int more = 0;
  for (const bool training : {true, false}) {
    const ForwardReading reading = ReadForward(module, training);
    for (const FlaggedLayer& layer : reading.layers) {
      const std::string fault = Fault(module, layer, training);
      if (fault.empty()) continue;
      if (first.empty()) {
        first = absl::StrCat(Describe(module, layer), " ", fault);
      } else {
        ++more;
      }
    }
    if (!first.empty()) {
      return absl::InvalidArgumentError(
          more == 0 ? first : absl::StrCat(first, " (and ", more, " more such layers)"));
    }
    const auto kind = reading.output == nullptr ? c10::TypeKind::AnyType : reading.output->kind();
    const bool form = kind == c10::TypeKind::TupleType || kind == c10::TypeKind::DictType ||
                      kind == c10::TypeKind::ListType || kind == c10::TypeKind::ClassType;
    if (training && form) return NotLogits(reading.output->repr_str());
  }
  return absl::OkStatus();
}

absl::Status CheckTrainingOutput(const torch::jit::Module& module, const ModelCard& card) {
  return CatchTorchErrors([&]() -> absl::Status {
    // Running statistics would move.
    torch::jit::Module copy = module.deepcopy();
    DISTILLERY_ASSIGN_OR_RETURN(const at::Tensor logits,
                                TrainingLogits(copy, ProbeInputs(card), card.answer_shape()));
    if (logits.requires_grad()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "no parameter with requires_grad = True has a part in its logits, so that nothing would "
        "learn: look for a detach() or no_grad() in its forward");
  });
}

absl::Status CheckStudentFile(const std::string& path, const std::optional<ModelCard>& data) {
  ConfigureTorch(1);
  const std::string name = BaseName(path);
  const absl::StatusOr<ModelFile> file = ReadModelFile(path);
  if (!file.ok()) return Annotate(file.status(), absl::StrCat("student ", name));
  DISTILLERY_ASSIGN_OR_RETURN(torch::jit::Module module,
                              StudentOf(file->module, name, ModulesInEval(file->module)));
  DISTILLERY_RETURN_IF_ERROR(Annotate(CheckTrainable(module), absl::StrCat("student ", name)));
  std::optional<ModelCard> card = data;
  if (!card.has_value() && !file->card.empty()) {
    const absl::StatusOr<ModelCard> own = ParseModelCard(file->card);
    if (!own.ok()) return Annotate(own.status(), absl::StrCat("student ", name));
    card = *own;
  }
  if (!card.has_value()) return absl::OkStatus();
  DISTILLERY_ASSIGN_OR_RETURN(module, BuildStudent({"", path, ""}, *card, /*seed=*/std::nullopt));
  return Annotate(CheckTrainingOutput(module, *card), absl::StrCat("student ", name));
}

}  // namespace distillery

#include "common/model/model_file.h"

#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/model/inputs.h"
#include "common/model/numerics.h"

namespace distillery {
namespace {

constexpr int64_t kMaxModelBytes = int64_t{16} << 30;
constexpr int64_t kProbeRows = 4;

// Runs a seeded batch through the model and checks what comes out against the card.
absl::Status CheckOutputs(torch::jit::Module& module, const ModelCard& card) {
  const c10::InferenceMode inference;
  at::Tensor probe = torch::linspace(0, 1, kProbeRows * card.input_shape.size())
                         .reshape({kProbeRows, card.input_shape.channels, card.input_shape.height,
                                   card.input_shape.width});
  const c10::IValue result = module.forward({Normalise(probe, card)});
  if (!result.isTensor()) return absl::InvalidArgumentError("its output is not one tensor");
  const at::Tensor output = result.toTensor().to(torch::kFloat32);
  if (output.dim() != 2 || output.size(0) != kProbeRows ||
      output.size(1) != card.class_count()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "its output for ", kProbeRows, " rows has the shape [", absl::StrJoin(output.sizes(), ", "),
        "], the card's class_names make it [", kProbeRows, ", ", card.class_count(), "]"));
  }
  const bool sums_to_one = (output.sum(1) - 1).abs().max().item<float>() < 1e-4F &&
                           output.min().item<float>() >= 0;
  if (sums_to_one && !card.outputs_probabilities) {
    return absl::InvalidArgumentError(
        "its rows sum to 1, so they are probabilities, not logits: set \"output\" to "
        "\"probabilities\" in the card, or take the softmax out of the model");
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> ModulesInEval(const torch::jit::Module& module) {
  std::vector<std::string> names;
  if (!module.hasattr("training") || !module.is_training()) return names;
  for (const auto& part : module.named_modules()) {
    if (part.value.hasattr("training") && !part.value.is_training()) names.push_back(part.name);
  }
  return names;
}

absl::StatusOr<ModelFile> ReadModelFile(const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxModelBytes));
  ModelFile file;
  file.sha256 = Sha256Hex(bytes);
  file.file_bytes = static_cast<int64_t>(bytes.size());
  std::unordered_map<std::string, std::string> extra = {{kCardName, ""}};
  const absl::Status loaded = CatchTorchErrors([&] {
    std::istringstream stream(std::move(bytes));
    file.module = torch::jit::load(stream, torch::kCPU, extra);
    return absl::OkStatus();
  });
  if (!loaded.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a TorchScript model (torch.jit.script(m).save(...)): ",
                     std::string(loaded.message())));
  }
  file.card = extra[kCardName];
  return file;
}

absl::StatusOr<LoadedModel> LoadModel(const std::string& path,
                                      const std::optional<ModelCard>& card) {
  DISTILLERY_ASSIGN_OR_RETURN(ModelFile file, ReadModelFile(path));
  LoadedModel model;
  model.module = std::move(file.module);
  model.modules_in_eval = ModulesInEval(model.module);
  model.sha256 = std::move(file.sha256);
  model.file_bytes = file.file_bytes;
  if (card.has_value()) {
    model.card = *card;
  } else if (file.card.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " carries no ", kCardName, ": give a card with --card FILE"));
  } else {
    absl::StatusOr<ModelCard> parsed = ParseModelCard(file.card);
    if (!parsed.ok()) return Annotate(parsed.status(), path);
    model.card = *std::move(parsed);
  }
  const absl::Status checked = CatchTorchErrors([&]() -> absl::Status {
    const auto method = model.module.find_method("forward");
    if (!method.has_value()) return absl::InvalidArgumentError("it has no forward");
    const size_t inputs = method->function().getSchema().arguments().size() - 1;
    if (inputs != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("its forward takes ", inputs, " inputs, not one"));
    }
    // A frozen module has no `training` and is in eval mode for good.
    if (model.module.hasattr("training")) model.module.eval();
    return CheckOutputs(model.module, model.card);
  });
  if (!checked.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::string(checked.message())));
  }
  return model;
}

absl::StatusOr<LoadedModel> LoadModelWithCard(const std::string& path,
                                              const std::string& card_path) {
  if (card_path.empty()) return LoadModel(path);
  DISTILLERY_ASSIGN_OR_RETURN(const std::string json, ReadFile(card_path, 1 << 20));
  const absl::StatusOr<ModelCard> card = ParseModelCard(json);
  if (!card.ok()) return Annotate(card.status(), card_path);
  return LoadModel(path, *card);
}

absl::StatusOr<std::string> SerializeModel(const torch::jit::Module& module,
                                           const ModelCard& card) {
  std::ostringstream stream;
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    module.save(stream, {{kCardName, ModelCardToJson(card)}});
    return absl::OkStatus();
  }));
  return stream.str();
}

absl::StatusOr<std::string> SerializeForMobile(const torch::jit::Module& module,
                                               const ModelCard& card) {
  std::ostringstream stream;
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    module._save_for_mobile(stream, {{kCardName, ModelCardToJson(card)}});
    return absl::OkStatus();
  }));
  return stream.str();
}

absl::Status SaveModel(const std::string& path, const torch::jit::Module& module,
                       const ModelCard& card) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, SerializeModel(module, card));
  return WriteFileDurably(path, bytes);
}

}  // namespace distillery

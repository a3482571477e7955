#include "common/nn/model_file.h"

#include <torch/version.h>

#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/nn/model_call.h"
#include "common/nn/model_format.h"
#include "common/nn/model_probe.h"
#include "common/nn/numerics.h"

namespace distillery {
namespace {

// Why LibTorch could not load what is TorchScript for all that one sees.
absl::Status Unreadable(const std::string& path, absl::string_view reason) {
  constexpr absl::string_view kUnknown = "Unknown builtin op: ";
  const std::string built = absl::StrCat("LibTorch ", TORCH_VERSION);
  if (const size_t at = reason.find(kUnknown); at != absl::string_view::npos) {
    absl::string_view name = reason.substr(at + kUnknown.size());
    name = name.substr(0, name.find_first_of(" \n"));
    name = absl::StripSuffix(name, ".");
    if (!absl::StartsWith(name, "aten::") && !absl::StartsWith(name, "prim::")) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, " calls ", name, ", an operator of a library that is not part of ", built,
          ": write what it does with torch's own operators, and save it again"));
    }
    return absl::InvalidArgumentError(
        absl::StrCat(path, " was made by a newer PyTorch: ", built, " has no ", name,
                     ". Save it with PyTorch ", TORCH_VERSION_MAJOR, ".", TORCH_VERSION_MINOR,
                     ", or without that operator, or build with a newer LibTorch "
                     "(-DCMAKE_PREFIX_PATH=DIR/libtorch)"));
  }
  if (absl::StrContains(reason, "maximum supported version")) {
    return absl::InvalidArgumentError(absl::StrCat(path, " was made by a newer PyTorch than ",
                                                   built, ": save it with PyTorch ",
                                                   TORCH_VERSION_MAJOR, ".", TORCH_VERSION_MINOR,
                                                   ", or build with a newer LibTorch "
                                                   "(-DCMAKE_PREFIX_PATH=DIR/libtorch)"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, " is not a TorchScript model that ", built, " can load: ", reason));
}

absl::StatusOr<LoadedModel> Probed(absl::StatusOr<LoadedModel> model, const std::string& path,
                                   const ProbeOptions& options) {
  if (!model.ok()) return model;
  const absl::Status probed = ProbeModule(model->module, options, &model->card);
  if (!probed.ok()) return Annotate(probed, path);
  return model;
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
  return ParseTorchScript(path, std::move(bytes));
}

absl::StatusOr<ModelFile> ParseTorchScript(const std::string& path, std::string bytes) {
  const ModelFormat format = FormatOf(bytes);
  if (format.kind != ModelFormat::Kind::kTorchScript) {
    return OtherFormat(path, "a TorchScript model", format);
  }
  DISTILLERY_RETURN_IF_ERROR(CheckUndamaged(path, bytes));
  ModelFile file;
  file.sha256 = Sha256Hex(bytes);
  file.file_bytes = static_cast<int64_t>(bytes.size());
  std::unordered_map<std::string, std::string> extra = {{kCardName, ""}};
  const absl::Status loaded = CatchTorchErrors([&] {
    std::istringstream stream(std::move(bytes));
    file.module = torch::jit::load(stream, torch::kCPU, extra);
    return absl::OkStatus();
  });
  if (!loaded.ok()) return Unreadable(path, loaded.message());
  file.card = std::move(extra[kCardName]);
  return file;
}

absl::StatusOr<LoadedModel> ReadModel(const std::string& path,
                                      const std::optional<ModelCard>& card) {
  DISTILLERY_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxModelBytes));
  return ParseModel(path, std::move(bytes), card);
}

absl::StatusOr<LoadedModel> ParseModel(const std::string& path, std::string bytes,
                                       const std::optional<ModelCard>& card) {
  DISTILLERY_ASSIGN_OR_RETURN(ModelFile file, ParseTorchScript(path, std::move(bytes)));
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
  DISTILLERY_RETURN_IF_ERROR(Annotate(CatchTorchErrors([&] {
                                        // A frozen module has no `training` and is in eval mode for
                                        // good.
                                        if (model.module.hasattr("training")) model.module.eval();
                                        return CheckForward(model.module,
                                                            model.card.samples.inputs.size());
                                      }),
                                      path));
  return model;
}

absl::StatusOr<LoadedModel> LoadModel(const std::string& path,
                                      const std::optional<ModelCard>& card) {
  return Probed(ReadModel(path, card), path, {});
}

absl::StatusOr<LoadedModel> LoadStudentModel(const std::string& path, const ModelCard& card) {
  ProbeOptions options;
  options.untrained = true;
  absl::StatusOr<LoadedModel> read = ReadModel(path, card);
  if (!read.ok()) return read;
  const auto& answers = read->module.get_method("forward").function().getSchema().returns();
  if (!answers.empty() && !answers[0].type()->isSubtypeOf(*c10::TensorType::get())) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": its forward gives a ", answers[0].type()->annotation_str(),
                     ", and a student must give one tensor of logits: return that alone"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model, Probed(std::move(read), path, options));
  if (model.card.input_type == card.input_type) return model;
  return absl::InvalidArgumentError(absl::StrCat(
      path, " computes in ", model.card.input_type,
      ", and students are trained in float32: save it so, torch.jit.script(net.float())"));
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

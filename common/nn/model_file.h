// Model files: TorchScript with its card, loaded and saved. Model files are trusted local files,
// named by digest; bytes that came over the network never reach this loader.
#pragma once

#include <torch/script.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/card.h"

namespace distillery {

// Larger files are not read.
inline constexpr int64_t kMaxModelBytes = int64_t{16} << 30;

// The extra file of a TorchScript file that is its card.
inline constexpr char kCardName[] = "distillery.json";

// A file as it is, whether it fits its card or not.
struct ModelFile {
  // In the modes in which it was saved.
  torch::jit::Module module;
  // The text of the card in the file; "": there is none.
  std::string card;
  // SHA-256 (hex) of the file.
  std::string sha256;
  int64_t file_bytes = 0;
};

// NOT_FOUND for a missing file; errors as ParseTorchScript.
absl::StatusOr<ModelFile> ReadModelFile(const std::string& path);

// Dotted names of the submodules that are in eval mode while the module is in training mode.
std::vector<std::string> ModulesInEval(const torch::jit::Module& module);

struct LoadedModel {
  // In eval mode.
  torch::jit::Module module;
  // ModulesInEval of the file.
  std::vector<std::string> modules_in_eval;
  ModelCard card;
  // SHA-256 (hex) of the file.
  std::string sha256;
  int64_t file_bytes = 0;
};

// The bytes of `path` as TorchScript. INVALID_ARGUMENT, with the way out, for a file of another
// kind (model_format.h), one whose checksums differ, or one that this LibTorch cannot read.
absl::StatusOr<ModelFile> ParseTorchScript(const std::string& path, std::string bytes);

// A model that has not been probed yet: call ProbeModule of model_probe.h next. NOT_FOUND for a
// missing file; errors as ParseTorchScript; INVALID_ARGUMENT for a missing card (give `card` then)
// or a forward that does not take one input.
absl::StatusOr<LoadedModel> ReadModel(const std::string& path,
                                      const std::optional<ModelCard>& card = std::nullopt);
// The same, from the bytes of the file `path`.
absl::StatusOr<LoadedModel> ParseModel(const std::string& path, std::string bytes,
                                       const std::optional<ModelCard>& card);

// A model that answers on the CPU. Errors as ReadModel and ProbeModule.
absl::StatusOr<LoadedModel> LoadModel(const std::string& path,
                                      const std::optional<ModelCard>& card = std::nullopt);

// A model that is to be trained, whose answers may look like anything yet. Errors as LoadModel, and
// INVALID_ARGUMENT for one that does not take float32, or gives more than one tensor.
absl::StatusOr<LoadedModel> LoadStudentModel(const std::string& path, const ModelCard& card);

// The same with the card read from a JSON file; "": the card in the model file.
absl::StatusOr<LoadedModel> LoadModelWithCard(const std::string& path,
                                              const std::string& card_path);

// The bytes of a TorchScript file with its card, and of one for the mobile interpreter.
absl::StatusOr<std::string> SerializeModel(const torch::jit::Module& module, const ModelCard& card);
absl::StatusOr<std::string> SerializeForMobile(const torch::jit::Module& module,
                                               const ModelCard& card);

// Replaces the file in one step.
absl::Status SaveModel(const std::string& path, const torch::jit::Module& module,
                       const ModelCard& card);

}  // namespace distillery

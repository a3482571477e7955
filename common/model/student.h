// Students as modules: a built-in architecture, or somebody's TorchScript file.
#pragma once

#include <torch/script.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/card.h"

namespace distillery {

struct StudentSource {
  // See architecture.h; empty if the student is a file.
  std::string architecture;
  std::string file;
  // SHA-256 (hex) that the file must have; empty: any.
  std::string digest;
};

// The attribute of a student that lists its submodules which stay in eval mode in training: the file
// had them so inside a model in training mode, as fine-tuning does with BatchNorm layers that are to
// stand still. Exported students are in eval mode as a whole, so that their flags no longer tell.
inline constexpr char kKeptInEval[] = "distillery_kept_in_eval";

// Notes them there; nothing for none.
void NoteKeptInEval(const std::vector<std::string>& names, torch::jit::Module& module);

// A module in training mode, but for the submodules that its file keeps in eval mode: seeded (without
// a seed as it comes, for a caller that loads weights), or with the weights that the file holds; its
// tied parameters are one tensor. `card` is the data's and replaces one in the file. INVALID_ARGUMENT
// for an architecture or file that does not fit the card, for a module without parameters
// (torch.jit.freeze) or of int8 weights, or one that gives probabilities; FAILED_PRECONDITION for
// another digest. Whether a file's module can be trained is for student_check.h to say: what was
// trained once is read for ever.
absl::StatusOr<torch::jit::Module> BuildStudent(const StudentSource& source, const ModelCard& card,
                                                std::optional<int64_t> seed);

// What BuildStudent makes of a file: the module as it is there, whether it fits any data or not.
absl::StatusOr<torch::jit::Module> StudentOf(torch::jit::Module module, const std::string& name,
                                             const std::vector<std::string>& modules_in_eval);

// INVALID_ARGUMENT for a student that in training returns `what`, not logits.
absl::Status NotLogits(const std::string& what);

// forward(inputs) of a student in training, float32 [rows, classes]. INVALID_ARGUMENT if it is anything
// else, saying what; what LibTorch throws.
absl::StatusOr<at::Tensor> TrainingLogits(torch::jit::Module& module, const at::Tensor& inputs,
                                          int64_t classes);

}  // namespace distillery

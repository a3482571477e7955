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
  // See common/model/architecture_plan.h for the names; empty if the student is a file.
  std::string architecture;
  std::string file;
  // SHA-256 (hex) that the file must have; empty: any.
  std::string digest;
};

// The attribute of a student that lists the submodules that stay in eval mode in training: those
// that its file has in eval mode inside a model in training mode, as fine-tuning does with
// BatchNorm layers that are to stand still. Exported students are in eval mode as a whole, so that
// the modes of their submodules no longer tell.
inline constexpr char kKeptInEval[] = "distillery_kept_in_eval";

// Notes the names in that attribute, or does nothing if there are none.
void NoteKeptInEval(const std::vector<std::string>& names, torch::jit::Module& module);

// A module in training mode, except for the submodules that its file keeps in eval mode. An
// architecture's weights come from the seed (without a seed they are arbitrary, for a caller that
// loads weights), a file's from the file. Tied parameters are one tensor. `card` is the data's and
// replaces one in the file. INVALID_ARGUMENT for an architecture or file that does not fit the
// card, for a module without parameters (torch.jit.freeze), with int8 weights, or that gives
// probabilities; FAILED_PRECONDITION for another digest. Whether the module can be trained is
// checked by student_check.h and not here, so that a student that was trained once can always be
// read.
absl::StatusOr<torch::jit::Module> BuildStudent(const StudentSource& source, const ModelCard& card,
                                                std::optional<int64_t> seed);

// The module that BuildStudent makes of one read from a file, whether it fits any data or not.
absl::StatusOr<torch::jit::Module> StudentOf(torch::jit::Module module, const std::string& name,
                                             const std::vector<std::string>& modules_in_eval);

// INVALID_ARGUMENT that says that a student returns `what` in training, not logits.
absl::Status NotLogits(const std::string& what);

// forward(inputs...) of a student in training, a tensor for each input of its card: float32
// [rows, positions..., classes], or values. INVALID_ARGUMENT, saying what it is, if it is anything
// else. Throws what LibTorch throws.
absl::StatusOr<at::Tensor> TrainingLogits(torch::jit::Module& module,
                                          const std::vector<at::Tensor>& inputs,
                                          const AnswerShape& answer);

}  // namespace distillery

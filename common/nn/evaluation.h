// How well a model does on a split.
#pragma once

#include <torch/script.h>

#include <atomic>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/model/card.h"
#include "common/run/task.h"

namespace distillery {

// Writes the teacher's answers at T = 1 to one shard to rows [count * positions * classes].
using TeacherLogits =
    std::function<absl::Status(int64_t shard, int64_t count, std::vector<float>* rows)>;

// Puts the module into eval mode and runs every sample of `dataset`, unaugmented, shard by shard,
// on the module's device; which figures there are follows from the answers of `dataset`. `teacher`
// may be null: agreement_count is then -1, teacher_kl 0. CANCELLED when `cancel` becomes true;
// INVALID_ARGUMENT if the data does not fit the card. The answers [samples, positions..., classes]
// go to `kept`, if it is given.
absl::StatusOr<EvaluationMetrics> EvaluateModel(torch::jit::Module& module, const ModelCard& card,
                                                const Dataset& dataset,
                                                const TeacherLogits& teacher,
                                                const std::atomic<bool>& cancel,
                                                std::vector<float>* kept = nullptr);

// Logits [rows, positions..., classes] of one tensor for each input of the card, on one device
// (pixels in 0..1): normalised, forwarded, log of probabilities if the card says so.
at::Tensor ForwardLogits(torch::jit::Module& module, const ModelCard& card,
                         const std::vector<at::Tensor>& inputs);
// Of a model with one input.
inline at::Tensor ForwardLogits(torch::jit::Module& module, const ModelCard& card,
                                const at::Tensor& input) {
  return ForwardLogits(module, card, std::vector<at::Tensor>{input});
}

}  // namespace distillery

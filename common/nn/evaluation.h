// How well a model does on a split.
#pragma once

#include <torch/script.h>

#include <atomic>
#include <functional>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/model/card.h"
#include "common/run/task.h"

namespace distillery {

// Writes the teacher's logits at T = 1 of one shard to rows [count * classes].
using TeacherLogits =
    std::function<absl::Status(int64_t shard, int64_t count, std::vector<float>* rows)>;

// Puts the module into eval mode and runs every sample of `dataset`, unaugmented, shard by shard,
// on the module's device. `teacher` may be null: agreement_count is then -1, teacher_kl 0.
// CANCELLED when `cancel` becomes true; INVALID_ARGUMENT if the data does not fit the card. Logits
// [samples, classes] go to `kept`, if it is given.
absl::StatusOr<EvaluationMetrics> EvaluateModel(torch::jit::Module& module, const ModelCard& card,
                                                const Dataset& dataset,
                                                const TeacherLogits& teacher,
                                                const std::atomic<bool>& cancel,
                                                std::vector<float>* kept = nullptr);

// Logits of `inputs` (pixels 0..1): normalised, forwarded, log of probabilities if the card says
// so.
at::Tensor ForwardLogits(torch::jit::Module& module, const ModelCard& card,
                         const at::Tensor& inputs);

}  // namespace distillery

// Optimizer state that is carried across rounds as part of the weights (RunTraining.optimizer_state
// average): tensors whose names no module can have, averaged as buffers are.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/weights/weights.h"

namespace distillery {

// SGD's momentum buffer, or AdamW's mean of gradients, float32 [parameters].
inline constexpr char kFirstMoment[] = "optimizer/first_moment";
// AdamW's mean of squared gradients, float32 [parameters].
inline constexpr char kSecondMoment[] = "optimizer/second_moment";
// AdamW's steps so far, int64, a scalar.
inline constexpr char kStepCount[] = "optimizer/step_count";

// `model` with the tensors of `state` added. INVALID_ARGUMENT if a name is there twice.
absl::StatusOr<Weights> WithOptimizerState(const Weights& model, const Weights& state);
// The parts of what WithOptimizerState made; each may be empty.
Weights ModelPart(const Weights& weights);
Weights OptimizerPart(const Weights& weights);

}  // namespace distillery

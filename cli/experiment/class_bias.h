// A number added to the logits of some classes: how a student that never saw a class is told that
// it exists (Hinton, Vinyals, Dean 2015, section 3).
#pragma once

#include <cstdint>
#include <vector>

#include "cli/models/split_logits.h"

namespace distillery {

// Choices after `bias` is added to the logits of `classes`.
std::vector<int32_t> ChoicesWithBias(const SplitLogits& logits, const std::vector<int64_t>& classes,
                                     double bias);

// The bias with the fewest choices that are not `wanted`, which is as long as the samples: errors
// are a step function of it, whose steps lie where the best of `classes` and the best of the others
// draw level, so the minimum is found exactly. Of several equal stretches the longest, and its
// middle; 0 where that is as good as any; beyond the last step, one past it.
double FitBias(const SplitLogits& logits, const std::vector<int64_t>& classes,
               const std::vector<int32_t>& wanted);

}  // namespace distillery

// Tied weights: parameters of one module that are one tensor under several names, as an embedding and
// the output layer that reads the same matrix. They are trained once and counted once, and stand in a
// weights file under each of their names with equal bytes.
#pragma once

#include <torch/script.h>

#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "common/model/module_weights.h"
#include "common/weights/ties.h"
#include "common/weights/weights.h"

namespace distillery {

// Each parameter once, under the first of its names in the module's order.
std::vector<NamedTensor> DistinctParameters(const torch::jit::Module& module);

// The further names of tied parameters.
Ties TiesOf(const torch::jit::Module& module);

// A file may hold one memory in several tensor objects, which come apart as soon as one of them is
// moved: gives all names of tied parameters the same object.
void UniteTies(torch::jit::Module& module);

// INVALID_ARGUMENT naming both if memory of a parameter with gradients also belongs to another
// parameter or a buffer, but not as a tie: in part, transposed, or where only one of the two has
// requires_grad.
absl::Status CheckSharedMemory(const torch::jit::Module& module);

// FAILED_PRECONDITION naming both if `weights` give tied names unlike values. A name that is not there
// is for others to miss.
absl::Status CheckTiesAgree(const Weights& weights, const Ties& ties);

}  // namespace distillery

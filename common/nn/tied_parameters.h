// Tied weights: one tensor that is a parameter of a module under several names, such as the matrix
// of an embedding that is also that of the output layer. They are trained once and counted once,
// and are in a weights file under each of their names with equal bytes.
#pragma once

#include <torch/script.h>

#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "common/nn/module_weights.h"
#include "common/weights/ties.h"
#include "common/weights/weights.h"

namespace distillery {

// The module's parameters, each once, under the first of its names in the module's order.
std::vector<NamedTensor> DistinctParameters(const torch::jit::Module& module);

// The further names of the module's tied parameters (common/weights/ties.h).
Ties TiesOf(const torch::jit::Module& module);

// Makes all names of a tied parameter name the same tensor object. Read from a file, they may be
// several objects that share memory, which come apart as soon as one of them is moved.
void UniteTies(torch::jit::Module& module);

// INVALID_ARGUMENT naming both if memory of a parameter with gradients also belongs to another
// parameter or a buffer, but not as a tie: in part, transposed, or where only one of the two has
// requires_grad.
absl::Status CheckSharedMemory(const torch::jit::Module& module);

// FAILED_PRECONDITION naming both if `weights` hold different values under tied names. Names that
// `weights` do not have are not looked at.
absl::Status CheckTiesAgree(const Weights& weights, const Ties& ties);

}  // namespace distillery

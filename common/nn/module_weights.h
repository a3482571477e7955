// A module's parameters and buffers as Weights, and back.
#pragma once

#include <torch/script.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/weights/weights.h"

namespace distillery {

// A tensor under the name that it has in a safetensors file.
using NamedTensor = std::pair<std::string, at::Tensor>;

// INVALID_ARGUMENT for an element type that safetensors does not know, or a name that is there
// twice.
absl::StatusOr<Weights> WeightsOf(const std::vector<NamedTensor>& tensors);
// Copies `weights` into the tensors. FAILED_PRECONDITION names the first tensor that differs.
absl::Status LoadWeights(const Weights& weights, const std::vector<NamedTensor>& tensors);

// Every parameter and buffer by its dotted name. INVALID_ARGUMENT for an element type that
// safetensors does not know.
absl::StatusOr<Weights> WeightsOf(const torch::jit::Module& module);
// INVALID_ARGUMENT as WeightsOf, or CheckModelLayout. Copies nothing.
absl::Status CheckLayout(const torch::jit::Module& module);
// Names of those among them that are no parameters to a delta, sorted: the buffers, and frozen
// parameters of types that are not averaged, such as float16 or int8.
std::vector<std::string> BufferNames(const torch::jit::Module& module);

// Copies `weights` into the module. FAILED_PRECONDITION names the first tensor that differs.
absl::Status LoadWeights(const Weights& weights, torch::jit::Module& module);

// For each parameter end - start (float types, computed in that type), for each buffer the end
// value. REQUIRES: equal layouts; `buffers` sorted.
Weights Delta(const Weights& start, const Weights& end, const std::vector<std::string>& buffers);

}  // namespace distillery

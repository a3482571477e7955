// The built-in architectures, made in C++ as TorchScript modules that Python and C++ load as they are.
//
//   mlp:D-H1-...-C   fully connected with ReLU; D input pixels, C classes
//   lenet            LeNet-5 (LeCun et al. 1998) with ReLU and max pooling
// Both take options: mlp:64-256-10,dropout=0.5,input_dropout=0.2 (dropout: after each hidden layer).
#pragma once

#include <torch/script.h>

#include <string>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// A module in training mode with seeded parameters: weights and biases uniform in
// +-1/sqrt(fan in), each drawn by (seed, parameter name).
// INVALID_ARGUMENT for an unknown architecture (with the nearest), option, or sizes that do not fit
// the input [channels, height, width] or the classes.
absl::StatusOr<torch::jit::Module> BuildArchitecture(const std::string& architecture,
                                                     const ImageShape& input, int64_t class_count,
                                                     int64_t seed);

// Parameters with and without gradients, buffers not counted.
int64_t CountParameters(const torch::jit::Module& module);

}  // namespace distillery

// Weight-only int8 models for small devices: each large weight is int8 with one float32 scale per
// output channel, and the forward multiplies them back to float32. A quarter of the bytes; the
// arithmetic stays float32, so any TorchScript interpreter runs them, LibTorch's mobile one too.
// Krishnamoorthi 2018 (arXiv 1806.08342): symmetric, a scale per channel, weights alone. Where an
// interpreter does not fold constants (the mobile one), each forward multiplies anew.
#pragma once

#include <torch/script.h>

#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

// A weight of fewer elements stays float32: its scale would be a further tensor in the file, which
// aligns each to 64 bytes.
inline constexpr int64_t kMinInt8Elements = 64;

struct Int8Weight {
  // int8 [channels, ...], -127 to 127; weight = values * scale.
  at::Tensor values;
  // float32 [channels, 1, ...]: max abs(weight) / 127 of the channel; 1 for a channel of zeros.
  at::Tensor scale;
};

// `weight`: float32 [channels, ...] of two or more dimensions, not empty. Each element is within
// scale/2 of its weight. INVALID_ARGUMENT for a weight that is not finite.
absl::StatusOr<Int8Weight> ToInt8(const at::Tensor& weight);

// The same model in eval mode with int8 weights: every finite float32 weight of two or more
// dimensions and kMinInt8Elements or more that forward reads and never writes. Biases, BatchNorm
// and other types stay as they are. `module` is left alone; the result has `forward` alone and
// nothing to train. INVALID_ARGUMENT for a model that is int8 already, has no such weight, or that
// TorchScript cannot freeze.
absl::StatusOr<torch::jit::Module> WithInt8Weights(const torch::jit::Module& module);

// Whether WithInt8Weights made it.
bool HasInt8Weights(const torch::jit::Module& module);

// The tensors that are constants of forward's code, as a frozen module's are: each once, in the
// order of the code.
std::vector<at::Tensor> ConstantTensors(const torch::jit::Module& module);

}  // namespace distillery

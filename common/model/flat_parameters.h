// A module's parameters laid end to end in one buffer, with their gradients in another: the whole
// optimizer step is then a few kernels, whatever the number of layers.
#pragma once

#include <torch/script.h>

#include "absl/status/statusor.h"

namespace distillery {

// SGD with momentum and L2 weight decay, as torch.optim.SGD without dampening:
//   g = grad + weight_decay * w;  b = momentum * b + g (b = g at first);  w = w - rate * b
// Not thread-safe. The module must outlive it.
class FlatSgd {
 public:
  // Moves the module's parameters into the flat buffer. INVALID_ARGUMENT if there are none or one is
  // not float32.
  static absl::StatusOr<FlatSgd> Create(torch::jit::Module& module, double momentum,
                                        double weight_decay);

  // Call before each backward.
  void ZeroGradients() { gradients_.zero_(); }
  // Call after each backward, without recording gradients.
  void Step(double learning_rate);
  // All finite?
  bool Finite() const;

 private:
  FlatSgd(at::Tensor weights, at::Tensor gradients, double momentum, double weight_decay)
      : weights_(std::move(weights)),
        gradients_(std::move(gradients)),
        momentum_(momentum),
        weight_decay_(weight_decay) {}
  // [parameters]
  at::Tensor weights_;
  at::Tensor gradients_;
  at::Tensor momentum_buffer_;
  double momentum_;
  double weight_decay_;
};

}  // namespace distillery

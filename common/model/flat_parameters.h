// A module's parameters laid end to end in one buffer, with their gradients in another: the whole
// optimizer step is then a few kernels, whatever the number of layers.
#pragma once

#include <torch/script.h>

#include "absl/status/statusor.h"

namespace distillery {

struct OptimizerOptions {
  enum class Kind {
    // As torch.optim.SGD without dampening:
    //   g = grad + weight_decay * w;  b = momentum * b + g (b = g at first)
    //   w = w - rate * (nesterov ? g + momentum * b : b)
    kSgd,
    // As torch.optim.AdamW with betas 0.9 and 0.999 and epsilon 1e-8 (Loshchilov, Hutter 2019,
    // "Decoupled weight decay regularization", algorithm 2); momentum and nesterov do not count.
    kAdamW,
  };
  Kind kind = Kind::kSgd;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
  // The gradient is scaled to this L2 norm where it is longer, as torch.nn.utils.clip_grad_norm_
  // does; 0: never.
  double max_gradient_norm = 0;
};

// Not thread-safe. The module must outlive it.
class FlatOptimizer {
 public:
  // Moves the module's parameters into the flat buffer. INVALID_ARGUMENT if there are none or one is
  // not float32.
  static absl::StatusOr<FlatOptimizer> Create(torch::jit::Module& module,
                                              const OptimizerOptions& options);

  // Call before each backward.
  void ZeroGradients() { gradients_.zero_(); }
  // Call after each backward, without recording gradients.
  void Step(double learning_rate);
  // All finite?
  bool Finite() const;

 private:
  FlatOptimizer(at::Tensor weights, at::Tensor gradients, const OptimizerOptions& options)
      : weights_(std::move(weights)), gradients_(std::move(gradients)), options_(options) {}
  void StepSgd(double learning_rate);
  void StepAdamW(double learning_rate);

  // [parameters]
  at::Tensor weights_;
  at::Tensor gradients_;
  // SGD's momentum buffer; AdamW's means of gradients, and of their squares.
  at::Tensor first_moment_;
  at::Tensor second_moment_;
  int64_t step_count_ = 0;
  OptimizerOptions options_;
};

}  // namespace distillery

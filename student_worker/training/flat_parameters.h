// A module's parameters that take part in training (requires_grad), laid end to end in one buffer,
// with their gradients in another: the whole optimizer step is then a few kernels, whatever the
// number of layers. The other parameters stay as they are: no step, no decay and no limit of a norm
// changes them.
#pragma once

#include <torch/script.h>

#include <vector>

#include "absl/status/statusor.h"
#include "common/nn/module_weights.h"
#include "common/weights/weights.h"

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
  // After each step the incoming weights of a unit (a row of a weight with 2 or more dimensions)
  // are scaled down to this L2 norm, as torch.renorm(w, 2, 0, norm) does (Srebro, Shraibman 2005;
  // Hinton et al. 2012, "Improving neural networks by preventing co-adaptation of feature
  // detectors"); 0: never.
  double max_weight_norm = 0;
};

// Not thread-safe. The module must outlive it.
class FlatOptimizer {
 public:
  // Moves the module's parameters with requires_grad into the flat buffer, tied ones once.
  // INVALID_ARGUMENT if there are none or one is not float32. REQUIRES: UniteTies was called, if
  // the module came from a file.
  static absl::StatusOr<FlatOptimizer> Create(torch::jit::Module& module,
                                              const OptimizerOptions& options);

  // Call before each backward.
  void ZeroGradients() { gradients_.zero_(); }
  // Call after each backward, without recording gradients.
  void Step(double learning_rate);
  // All finite?
  bool Finite() const;

  // The moments and the number of steps so far, named as in optimizer_state.h; zeros before the
  // first step. Nothing for SGD without momentum.
  absl::StatusOr<Weights> State() const;
  // Goes on from there. FAILED_PRECONDITION if it is not of this optimizer and these parameters.
  absl::Status LoadState(const Weights& state);

 private:
  FlatOptimizer(at::Tensor weights, at::Tensor gradients, const OptimizerOptions& options)
      : weights_(std::move(weights)), gradients_(std::move(gradients)), options_(options) {}
  // Those of State, made with zeros where they are not there yet.
  std::vector<NamedTensor> StateTensors() const;
  void ClipGradients();
  void StepSgd(double learning_rate);
  void StepAdamW(double learning_rate);

  // [trained parameters]
  at::Tensor weights_;
  at::Tensor gradients_;
  // Views of weights_ that max_weight_norm is about.
  std::vector<at::Tensor> incoming_;
  // SGD's momentum buffer; AdamW's means of gradients, and of their squares.
  at::Tensor first_moment_;
  at::Tensor second_moment_;
  int64_t step_count_ = 0;
  OptimizerOptions options_;
};

}  // namespace distillery

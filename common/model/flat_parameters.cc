#include "common/model/flat_parameters.h"

#include "absl/strings/str_cat.h"

namespace distillery {

absl::StatusOr<FlatSgd> FlatSgd::Create(torch::jit::Module& module, double momentum,
                                        double weight_decay) {
  const torch::NoGradGuard no_grad;
  int64_t total = 0;
  for (const auto& parameter : module.named_parameters()) {
    if (parameter.value.scalar_type() != at::kFloat) {
      return absl::InvalidArgumentError(
          absl::StrCat("parameter \"", parameter.name, "\" is not float32"));
    }
    total += parameter.value.numel();
  }
  if (total == 0) return absl::InvalidArgumentError("the student has no trainable parameters");
  const at::Tensor weights = torch::empty({total}, torch::kFloat32);
  const at::Tensor gradients = torch::zeros({total}, torch::kFloat32);
  int64_t start = 0;
  for (at::Tensor parameter : module.parameters()) {
    const int64_t count = parameter.numel();
    const at::Tensor place = weights.narrow(0, start, count).view(parameter.sizes());
    place.copy_(parameter);
    parameter.set_data(place);
    parameter.set_requires_grad(true);
    parameter.mutable_grad() = gradients.narrow(0, start, count).view(parameter.sizes());
    start += count;
  }
  return FlatSgd(weights, gradients, momentum, weight_decay);
}

void FlatSgd::Step(double learning_rate) {
  const torch::NoGradGuard no_grad;
  if (weight_decay_ != 0) gradients_.add_(weights_, weight_decay_);
  if (momentum_ == 0) {
    weights_.add_(gradients_, -learning_rate);
    return;
  }
  if (momentum_buffer_.defined()) {
    momentum_buffer_.mul_(momentum_).add_(gradients_);
  } else {
    momentum_buffer_ = gradients_.clone();
  }
  weights_.add_(momentum_buffer_, -learning_rate);
}

bool FlatSgd::Finite() const { return weights_.isfinite().all().item<bool>(); }

}  // namespace distillery

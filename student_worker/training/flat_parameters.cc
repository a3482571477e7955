#include "student_worker/training/flat_parameters.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/nn/tied_parameters.h"
#include "common/weights/optimizer_state.h"

namespace distillery {

absl::StatusOr<FlatOptimizer> FlatOptimizer::Create(torch::jit::Module& module,
                                                    const OptimizerOptions& options) {
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> trained;
  int64_t total = 0;
  for (const auto& [name, parameter] : DistinctParameters(module)) {
    if (!parameter.requires_grad()) continue;
    if (parameter.scalar_type() != at::kFloat) {
      return absl::InvalidArgumentError(absl::StrCat("parameter \"", name, "\" is not float32"));
    }
    trained.push_back(parameter);
    total += parameter.numel();
  }
  if (total == 0) return absl::InvalidArgumentError("the student has no trainable parameters");
  const at::TensorOptions kind = trained.front().options();
  FlatOptimizer optimizer(torch::empty({total}, kind), torch::zeros({total}, kind), options);
  const at::Tensor& weights = optimizer.weights_;
  const at::Tensor& gradients = optimizer.gradients_;
  int64_t start = 0;
  for (at::Tensor& parameter : trained) {
    const int64_t count = parameter.numel();
    const at::Tensor place = weights.narrow(0, start, count).view(parameter.sizes());
    place.copy_(parameter);
    if (options.max_weight_norm > 0 && place.dim() >= 2) optimizer.incoming_.push_back(place);
    parameter.set_data(place);
    parameter.mutable_grad() = gradients.narrow(0, start, count).view(parameter.sizes());
    start += count;
  }
  return optimizer;
}

void FlatOptimizer::Step(double learning_rate) {
  const torch::NoGradGuard no_grad;
  if (options_.max_gradient_norm > 0) ClipGradients();
  if (options_.kind == OptimizerOptions::Kind::kAdamW) {
    StepAdamW(learning_rate);
  } else {
    StepSgd(learning_rate);
  }
  for (at::Tensor& weight : incoming_) weight.renorm_(2, 0, options_.max_weight_norm);
}

void FlatOptimizer::ClipGradients() {
  constexpr double kTiny = 1e-6;  // PyTorch's
  const at::Tensor norm = gradients_.norm();
  if (!norm.is_cpu()) {
    // Reading it would wait for the device.
    gradients_.mul_(norm.add(kTiny).reciprocal_().mul_(options_.max_gradient_norm).clamp_max_(1));
    return;
  }
  const double scale = options_.max_gradient_norm / (norm.item<double>() + kTiny);
  if (scale < 1) gradients_.mul_(scale);
}

void FlatOptimizer::StepSgd(double learning_rate) {
  if (options_.weight_decay != 0) gradients_.add_(weights_, options_.weight_decay);
  if (options_.momentum == 0) {
    weights_.add_(gradients_, -learning_rate);
    return;
  }
  if (first_moment_.defined()) {
    first_moment_.mul_(options_.momentum).add_(gradients_);
  } else {
    first_moment_ = gradients_.clone();
  }
  if (options_.nesterov) {
    weights_.add_(gradients_.add_(first_moment_, options_.momentum), -learning_rate);
  } else {
    weights_.add_(first_moment_, -learning_rate);
  }
}

void FlatOptimizer::StepAdamW(double learning_rate) {
  constexpr double kBeta1 = 0.9;
  constexpr double kBeta2 = 0.999;
  constexpr double kEpsilon = 1e-8;
  if (!first_moment_.defined()) {
    first_moment_ = at::zeros_like(weights_);
    second_moment_ = at::zeros_like(weights_);
  }
  ++step_count_;
  weights_.mul_(1 - learning_rate * options_.weight_decay);
  first_moment_.mul_(kBeta1).add_(gradients_, 1 - kBeta1);
  second_moment_.mul_(kBeta2).addcmul_(gradients_, gradients_, 1 - kBeta2);
  const auto steps = static_cast<double>(step_count_);
  const double correction1 = 1 - std::pow(kBeta1, steps);
  const double correction2 = 1 - std::pow(kBeta2, steps);
  const at::Tensor divisor = second_moment_.sqrt().div_(std::sqrt(correction2)).add_(kEpsilon);
  weights_.addcdiv_(first_moment_, divisor, -learning_rate / correction1);
}

std::vector<NamedTensor> FlatOptimizer::StateTensors() const {
  const auto moment = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor : at::zeros_like(weights_);
  };
  if (options_.kind == OptimizerOptions::Kind::kAdamW) {
    return {{kFirstMoment, moment(first_moment_)},
            {kSecondMoment, moment(second_moment_)},
            {kStepCount, torch::tensor(step_count_, torch::kInt64)}};
  }
  if (options_.momentum == 0) return {};
  return {{kFirstMoment, moment(first_moment_)}};
}

absl::StatusOr<Weights> FlatOptimizer::State() const { return WeightsOf(StateTensors()); }

absl::Status FlatOptimizer::LoadState(const Weights& state) {
  const std::vector<NamedTensor> tensors = StateTensors();
  DISTILLERY_RETURN_IF_ERROR(LoadWeights(state, tensors));
  for (const auto& [name, tensor] : tensors) {
    if (name == kFirstMoment) first_moment_ = tensor;
    if (name == kSecondMoment) second_moment_ = tensor;
    if (name == kStepCount) step_count_ = tensor.item<int64_t>();
  }
  return absl::OkStatus();
}

bool FlatOptimizer::Finite() const { return weights_.isfinite().all().item<bool>(); }

}  // namespace distillery

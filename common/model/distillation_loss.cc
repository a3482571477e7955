#include "common/model/distillation_loss.h"

#include <torch/script.h>

#include <limits>

namespace distillery {
namespace {

// sum_i p_i (log p_i - log q_i), batchmean; all [batch, outcomes].
at::Tensor KlDivergence(const at::Tensor& p, const at::Tensor& log_p, const at::Tensor& log_q) {
  return (p * (log_p - log_q)).sum() / static_cast<double>(p.size(0));
}

at::Tensor SoftTerm(const at::Tensor& teacher_scaled_logits, const at::Tensor& log_q) {
  const at::Tensor log_p = at::log_softmax(teacher_scaled_logits, 1);
  return KlDivergence(log_p.exp(), log_p, log_q);
}

at::Tensor SoftTerm(const TopKTargets& targets, const at::Tensor& log_q) {
  at::Tensor p = targets.probabilities;
  at::Tensor log_outcomes = log_q.gather(1, targets.class_indexes);
  // There is no tail of all classes, and log 0 has no gradient.
  if (p.size(1) < log_q.size(1)) {
    p = at::cat({p, targets.tail_mass.unsqueeze(1)}, 1);
    // log q_tail from the logarithms of the others: 1 - sum would lose a small one.
    const at::Tensor others =
        log_q.scatter(1, targets.class_indexes, -std::numeric_limits<double>::infinity());
    log_outcomes = at::cat({log_outcomes, at::logsumexp(others, 1, /*keepdim=*/true)}, 1);
  }
  p = p / p.sum(1, /*keepdim=*/true);
  // p log p is 0 at 0.
  const at::Tensor log_p = at::where(p > 0, p, at::ones_like(p)).log();
  return KlDivergence(p, log_p, log_outcomes);
}

template <typename Targets>
DistillationLoss Compute(const at::Tensor& student_logits, const Targets& targets,
                         const at::Tensor& labels, double alpha, double temperature) {
  DistillationLoss loss;
  // A term without weight is measured without recording its gradient.
  at::Tensor hard;
  if (alpha < 1) {
    hard = at::cross_entropy_loss(student_logits, labels);
    loss.hard = hard.detach();
  } else {
    const torch::NoGradGuard no_grad;
    loss.hard = at::cross_entropy_loss(student_logits, labels);
  }
  if (alpha == 0) {
    loss.total = hard;
    return loss;
  }
  const at::Tensor soft = SoftTerm(targets, at::log_softmax(student_logits / temperature, 1));
  loss.soft = soft.detach();
  loss.total = soft * (alpha * temperature * temperature);
  if (alpha < 1) loss.total = loss.total + hard * (1 - alpha);
  return loss;
}

}  // namespace

DistillationLoss ComputeDistillationLoss(const at::Tensor& student_logits,
                                         const at::Tensor& teacher_scaled_logits,
                                         const at::Tensor& labels, double alpha,
                                         double temperature) {
  return Compute(student_logits, teacher_scaled_logits, labels, alpha, temperature);
}

DistillationLoss ComputeDistillationLoss(const at::Tensor& student_logits,
                                         const TopKTargets& targets, const at::Tensor& labels,
                                         double alpha, double temperature) {
  return Compute(student_logits, targets, labels, alpha, temperature);
}

}  // namespace distillery

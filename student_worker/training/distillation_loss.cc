#include "student_worker/training/distillation_loss.h"

#include <torch/script.h>

#include <cmath>
#include <limits>

namespace distillery {
namespace {

// What the soft term compares: distributions over the same outcomes, all [batch, outcomes].
struct Outcomes {
  at::Tensor p;
  at::Tensor log_p;
  at::Tensor log_q;
};

// sum_i a_i (log a_i - log b_i), batchmean.
at::Tensor KlDivergence(const at::Tensor& a, const at::Tensor& log_a, const at::Tensor& log_b) {
  return (a * (log_a - log_b)).sum() / static_cast<double>(a.size(0));
}

at::Tensor Divergence(SoftLoss loss, const Outcomes& outcomes) {
  const auto& [p, log_p, log_q] = outcomes;
  if (loss == SoftLoss::kReverseKl) return KlDivergence(log_q.exp(), log_q, log_p);
  if (loss == SoftLoss::kJsd) {
    const at::Tensor log_m = at::logaddexp(log_p, log_q) - std::log(2.0);
    return (KlDivergence(p, log_p, log_m) + KlDivergence(log_q.exp(), log_q, log_m)) / 2;
  }
  return KlDivergence(p, log_p, log_q);
}

Outcomes DenseOutcomes(const at::Tensor& teacher_scaled, const at::Tensor& student_scaled) {
  const at::Tensor log_p = at::log_softmax(teacher_scaled, 1);
  return {log_p.exp(), log_p, at::log_softmax(student_scaled, 1)};
}

// Each row with mean 0 and (sample) deviation 1; the small number is the paper's.
at::Tensor Standardised(const at::Tensor& logits) {
  constexpr double kTiny = 1e-7;
  return (logits - logits.mean(1, /*keepdim=*/true)) /
         (logits.std(1, /*unbiased=*/true, true) + kTiny);
}

// The columns of all classes but the target [batch, classes - 1].
at::Tensor Others(const at::Tensor& rows, const at::Tensor& not_target) {
  return rows.masked_select(not_target).view({rows.size(0), rows.size(1) - 1});
}

// log of (probability of the target class, sum of the others) [batch, 2].
at::Tensor TargetAndOthers(const at::Tensor& log_probabilities, const at::Tensor& targets,
                           const at::Tensor& not_target) {
  const at::Tensor others = Others(log_probabilities, not_target);
  return at::cat({log_probabilities.gather(1, targets), at::logsumexp(others, 1, true)}, 1);
}

at::Tensor DecoupledTerm(const at::Tensor& teacher_scaled, const at::Tensor& student_scaled,
                         const at::Tensor& labels, const LossOptions& options,
                         DistillationLoss* loss) {
  const at::Tensor targets = labels.unsqueeze(1);
  const at::Tensor not_target =
      at::ones_like(teacher_scaled, at::kBool).scatter_(1, targets, false);
  const at::Tensor log_p = TargetAndOthers(at::log_softmax(teacher_scaled, 1), targets, not_target);
  const at::Tensor log_q = TargetAndOthers(at::log_softmax(student_scaled, 1), targets, not_target);
  const at::Tensor target_term = KlDivergence(log_p.exp(), log_p, log_q);
  const at::Tensor other_term = Divergence(
      SoftLoss::kKd,
      DenseOutcomes(Others(teacher_scaled, not_target), Others(student_scaled, not_target)));
  loss->dkd_target = target_term.detach();
  loss->dkd_other = other_term.detach();
  return target_term * options.dkd_alpha + other_term * options.dkd_beta;
}

at::Tensor SoftTerm(const at::Tensor& student, const at::Tensor& teacher_scaled,
                    const at::Tensor& labels, const LossOptions& options, DistillationLoss* loss) {
  const double temperature = options.temperature;
  switch (options.soft) {
    case SoftLoss::kMse:
      return at::mse_loss(student, teacher_scaled * temperature);
    case SoftLoss::kDkd:
      return DecoupledTerm(teacher_scaled, student / temperature, labels, options, loss);
    case SoftLoss::kLogitStandardized:
      return Divergence(SoftLoss::kKd,
                        DenseOutcomes(Standardised(teacher_scaled * temperature) / temperature,
                                      Standardised(student) / temperature));
    default:
      return Divergence(options.soft, DenseOutcomes(teacher_scaled, student / temperature));
  }
}

at::Tensor SoftTerm(const at::Tensor& student, const TopKTargets& targets,
                    const at::Tensor& /*labels*/, const LossOptions& options,
                    DistillationLoss* /*loss*/) {
  constexpr double kRoundedToZero = 1.0 / (1 << 25);
  const at::Tensor log_q = at::log_softmax(student / options.temperature, 1);
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
  return Divergence(options.soft, {p, p.clamp_min(kRoundedToZero).log(), log_outcomes});
}

template <typename Targets>
DistillationLoss Compute(const at::Tensor& student_logits, const Targets& targets,
                         const at::Tensor& labels, const LossOptions& options) {
  DistillationLoss loss;
  const auto cross_entropy = [&] {
    constexpr int64_t kIgnoreNone = -100;
    return at::cross_entropy_loss(student_logits, labels, /*weight=*/{}, at::Reduction::Mean,
                                  kIgnoreNone, options.label_smoothing);
  };
  // A term without weight is measured without recording its gradient.
  const double alpha = options.alpha;
  at::Tensor hard;
  if (options.labelled && alpha < 1) {
    hard = cross_entropy();
    loss.hard = hard.detach();
  } else if (options.labelled) {
    const torch::NoGradGuard no_grad;
    loss.hard = cross_entropy();
  }
  if (alpha == 0) {
    // Without either term, a loss that moves nothing.
    loss.total = hard.defined() ? hard : student_logits.sum() * 0;
    return loss;
  }
  const at::Tensor soft = SoftTerm(student_logits, targets, labels, options, &loss);
  loss.soft = soft.detach();
  const double weight =
      options.soft == SoftLoss::kMse ? 1 : options.temperature * options.temperature;
  loss.total = soft * (alpha * weight);
  if (hard.defined()) loss.total = loss.total + hard * (1 - alpha);
  return loss;
}

}  // namespace

DistillationLoss ComputeDistillationLoss(const at::Tensor& student_logits,
                                         const at::Tensor& teacher_scaled_logits,
                                         const at::Tensor& labels, const LossOptions& options) {
  return Compute(student_logits, teacher_scaled_logits, labels, options);
}

DistillationLoss ComputeDistillationLoss(const at::Tensor& student_logits,
                                         const TopKTargets& targets, const at::Tensor& labels,
                                         const LossOptions& options) {
  return Compute(student_logits, targets, labels, options);
}

}  // namespace distillery

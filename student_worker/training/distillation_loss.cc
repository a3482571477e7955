#include "student_worker/training/distillation_loss.h"

#include <torch/script.h>

#include <cmath>
#include <iterator>
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

at::Tensor ForwardKl(const Outcomes& outcomes) {
  return KlDivergence(outcomes.p, outcomes.log_p, outcomes.log_q);
}

at::Tensor ReverseKl(const Outcomes& outcomes) {
  return KlDivergence(outcomes.log_q.exp(), outcomes.log_q, outcomes.log_p);
}

at::Tensor JensenShannon(const Outcomes& outcomes) {
  const auto& [p, log_p, log_q] = outcomes;
  const at::Tensor log_m = at::logaddexp(log_p, log_q) - std::log(2.0);
  return (KlDivergence(p, log_p, log_m) + KlDivergence(log_q.exp(), log_q, log_m)) / 2;
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

// The logits of a batch [batch, classes] and what else a term may need.
struct DenseBatch {
  const at::Tensor& student;
  // z/T
  const at::Tensor& teacher_scaled;
  const at::Tensor& labels;
  const LossOptions& options;
};

at::Tensor DecoupledTerm(const DenseBatch& batch, DistillationLoss* loss) {
  const at::Tensor& teacher_scaled = batch.teacher_scaled;
  const at::Tensor student_scaled = batch.student / batch.options.temperature;
  const at::Tensor targets = batch.labels.unsqueeze(1);
  const at::Tensor not_target =
      at::ones_like(teacher_scaled, at::kBool).scatter_(1, targets, false);
  const at::Tensor log_p = TargetAndOthers(at::log_softmax(teacher_scaled, 1), targets, not_target);
  const at::Tensor log_q = TargetAndOthers(at::log_softmax(student_scaled, 1), targets, not_target);
  const at::Tensor target_term = KlDivergence(log_p.exp(), log_p, log_q);
  const at::Tensor other_term = ForwardKl(
      DenseOutcomes(Others(teacher_scaled, not_target), Others(student_scaled, not_target)));
  loss->dkd_target = target_term.detach();
  loss->dkd_other = other_term.detach();
  return target_term * batch.options.dkd_alpha + other_term * batch.options.dkd_beta;
}

at::Tensor StandardisedTerm(const DenseBatch& batch, DistillationLoss* /*loss*/) {
  const double temperature = batch.options.temperature;
  return ForwardKl(DenseOutcomes(Standardised(batch.teacher_scaled * temperature) / temperature,
                                 Standardised(batch.student) / temperature));
}

at::Tensor MseTerm(const DenseBatch& batch, DistillationLoss* /*loss*/) {
  return at::mse_loss(batch.student, batch.teacher_scaled * batch.options.temperature);
}

// One of the two is set; the other is null.
struct Term {
  // A term of distributions over all classes, or over the top k and the tail.
  at::Tensor (*of_outcomes)(const Outcomes& outcomes);
  // A term of all logits.
  at::Tensor (*of_logits)(const DenseBatch& batch, DistillationLoss* loss);
};

// In the order of SoftLoss.
constexpr Term kTerms[] = {
    {&ForwardKl, nullptr},         // kd
    {nullptr, &DecoupledTerm},     // dkd
    {nullptr, &StandardisedTerm},  // logit_standardized
    {nullptr, &MseTerm},           // mse
    {&ReverseKl, nullptr},         // reverse_kl
    {&JensenShannon, nullptr},     // jsd
};

constexpr bool TermsFitLosses() {
  if (std::size(kTerms) != std::size(kSoftLosses)) return false;
  for (size_t i = 0; i < std::size(kTerms); ++i) {
    const Term& term = kTerms[i];
    if (static_cast<size_t>(kSoftLosses[i].loss) != i) return false;
    if ((term.of_outcomes == nullptr) == (term.of_logits == nullptr)) return false;
    if (kSoftLosses[i].takes_top_k && term.of_outcomes == nullptr) return false;
  }
  return true;
}
static_assert(TermsFitLosses());

const Term& TermOf(SoftLoss loss) { return kTerms[static_cast<int>(loss)]; }

at::Tensor SoftTerm(const at::Tensor& student, const at::Tensor& teacher_scaled,
                    const at::Tensor& labels, const LossOptions& options, DistillationLoss* loss) {
  const Term& term = TermOf(options.soft);
  if (term.of_logits != nullptr) {
    return term.of_logits({student, teacher_scaled, labels, options}, loss);
  }
  return term.of_outcomes(DenseOutcomes(teacher_scaled, student / options.temperature));
}

at::Tensor SoftTerm(const at::Tensor& student, const TopKTargets& targets,
                    const at::Tensor& /*labels*/, const LossOptions& options,
                    DistillationLoss* /*loss*/) {
  TORCH_INTERNAL_ASSERT(TakesTopK(options.soft), "the loss needs the logits of all classes");
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
  return TermOf(options.soft).of_outcomes({p, p.clamp_min(kRoundedToZero).log(), log_outcomes});
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
      SpecOf(options.soft).scales_with_t2 ? options.temperature * options.temperature : 1;
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

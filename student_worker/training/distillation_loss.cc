#include "student_worker/training/distillation_loss.h"

#include <torch/script.h>

#include <cmath>
#include <iterator>
#include <limits>

#include "common/data/sample_spec.h"

namespace distillery {
namespace {

// What the soft term compares: distributions over the same outcomes, all [rows, outcomes].
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

// log of (sigmoid, 1 - sigmoid) of each logit [rows * labels, 2].
at::Tensor LogOfBoth(const at::Tensor& logits) {
  const at::Tensor each = logits.reshape({-1});
  return at::stack({at::log_sigmoid(each), at::log_sigmoid(-each)}, 1);
}

// Each label of each row, all [rows * labels, 2].
Outcomes BinaryOutcomes(const at::Tensor& teacher_scaled, const at::Tensor& student_scaled) {
  const at::Tensor log_p = LogOfBoth(teacher_scaled);
  return {log_p.exp(), log_p, LogOfBoth(student_scaled)};
}

// Each row with mean 0 and (sample) deviation 1; the small number is the paper's.
at::Tensor Standardised(const at::Tensor& logits) {
  constexpr double kTiny = 1e-7;
  return (logits - logits.mean(1, /*keepdim=*/true)) /
         (logits.std(1, /*unbiased=*/true, true) + kTiny);
}

// The columns of all classes but the target [rows, classes - 1].
at::Tensor Others(const at::Tensor& rows, const at::Tensor& not_target) {
  return rows.masked_select(not_target).view({rows.size(0), rows.size(1) - 1});
}

// log of (probability of the target class, sum of the others) [rows, 2].
at::Tensor TargetAndOthers(const at::Tensor& log_probabilities, const at::Tensor& targets,
                           const at::Tensor& not_target) {
  const at::Tensor others = Others(log_probabilities, not_target);
  return at::cat({log_probabilities.gather(1, targets), at::logsumexp(others, 1, true)}, 1);
}

// The logits of a batch [rows, n] and what else a term may need.
struct DenseBatch {
  const at::Tensor& student;
  // z/T
  const at::Tensor& teacher_scaled;
  const at::Tensor& labels;
  const LossOptions& options;
};

at::Tensor DecoupledTerm(const DenseBatch& batch, DistillationLoss* loss) {
  const at::Tensor labelled = batch.labels.ge(0);
  if (!labelled.all().item<bool>()) {
    const at::Tensor rows = labelled.nonzero().squeeze(1);
    return DecoupledTerm(
        {batch.student.index_select(0, rows), batch.teacher_scaled.index_select(0, rows),
         batch.labels.index_select(0, rows), batch.options},
        loss);
  }
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

// How far numbers [rows, n] lie from those that are wanted, by row [rows].
at::Tensor SquaredError(const at::Tensor& student, const at::Tensor& wanted) {
  return at::mse_loss(student, wanted, at::Reduction::None).mean(1);
}

at::Tensor SmoothL1(const at::Tensor& student, const at::Tensor& wanted) {
  return at::smooth_l1_loss(student, wanted, at::Reduction::None, /*beta=*/1).mean(1);
}

at::Tensor CosineDistance(const at::Tensor& student, const at::Tensor& wanted) {
  return 1 - at::cosine_similarity(student, wanted, /*dim=*/1);
}

// Those that a loss has no use for are null.
struct Term {
  // A term of distributions over all classes, over the top k and the tail, or over the two outcomes
  // of a label.
  at::Tensor (*of_outcomes)(const Outcomes& outcomes);
  // A term of all logits.
  at::Tensor (*of_logits)(const DenseBatch& batch, DistillationLoss* loss);
  // By row, of values.
  at::Tensor (*of_values)(const at::Tensor& student, const at::Tensor& wanted);
};

// In the order of SoftLoss.
constexpr Term kTerms[] = {
    {&ForwardKl, nullptr, nullptr},         // kd
    {nullptr, &DecoupledTerm, nullptr},     // dkd
    {nullptr, &StandardisedTerm, nullptr},  // logit_standardized
    {nullptr, &MseTerm, &SquaredError},     // mse
    {&ReverseKl, nullptr, nullptr},         // reverse_kl
    {&JensenShannon, nullptr, nullptr},     // jsd
    {nullptr, nullptr, &SmoothL1},          // smooth_l1
    {nullptr, nullptr, &CosineDistance},    // cosine
};

constexpr bool TermsFitLosses() {
  if (std::size(kTerms) != std::size(kSoftLosses)) return false;
  for (size_t i = 0; i < std::size(kTerms); ++i) {
    const Term& term = kTerms[i];
    const LossSpec& spec = kSoftLosses[i];
    const bool of_logits = term.of_logits != nullptr;
    const bool of_outcomes = term.of_outcomes != nullptr;
    if (static_cast<size_t>(spec.loss) != i) return false;
    if (of_logits && of_outcomes) return false;
    if ((of_logits || of_outcomes) != ((spec.fits & kDistributions) != 0)) return false;
    if ((term.of_values != nullptr) != Fits(spec.loss, AnswerKind::kValues)) return false;
    if (spec.takes_top_k && !of_outcomes) return false;
  }
  return true;
}
static_assert(TermsFitLosses());

const Term& TermOf(SoftLoss loss) { return kTerms[static_cast<int>(loss)]; }

at::Tensor SoftTerm(const at::Tensor& student, const at::Tensor& teacher_scaled,
                    const at::Tensor& labels, const LossOptions& options, DistillationLoss* loss) {
  const Term& term = TermOf(options.soft);
  if (options.answers == AnswerKind::kValues) {
    return term.of_values(student, teacher_scaled * options.temperature).mean();
  }
  if (term.of_logits != nullptr) {
    return term.of_logits({student, teacher_scaled, labels, options}, loss);
  }
  const auto outcomes =
      options.answers == AnswerKind::kMultilabel ? &BinaryOutcomes : &DenseOutcomes;
  return term.of_outcomes(outcomes(teacher_scaled, student / options.temperature));
}

at::Tensor SoftTerm(const at::Tensor& student, const TopKTargets& targets,
                    const at::Tensor& /*labels*/, const LossOptions& options,
                    DistillationLoss* /*loss*/) {
  TORCH_INTERNAL_ASSERT(TakesTopK(options.soft), "the loss needs the logits of all classes");
  TORCH_INTERNAL_ASSERT(options.answers == AnswerKind::kClasses, "top-k targets are of classes");
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

at::Tensor CrossEntropy(const at::Tensor& student, const at::Tensor& labels,
                        const LossOptions& options) {
  return at::cross_entropy_loss(student, labels, /*weight=*/{}, at::Reduction::Mean, kNoLabel,
                                options.label_smoothing);
}

// The mean of `distance` over the rows that have labels [rows, n].
template <typename Distance>
at::Tensor MeanOfLabelled(const at::Tensor& labels, const at::Tensor& student, Distance distance) {
  const at::Tensor wanted = labels.to(student.scalar_type());
  const at::Tensor labelled = wanted.select(1, 0).isnan().logical_not().to(student.scalar_type());
  // A NaN would be one in the gradient too, whatever its weight is.
  const at::Tensor by_row =
      distance(student, at::where(wanted.isnan(), at::zeros_like(wanted), wanted));
  return (by_row * labelled).sum() / labelled.sum();
}

at::Tensor BinaryCrossEntropy(const at::Tensor& student, const at::Tensor& labels,
                              const LossOptions& options) {
  const double smoothing = options.label_smoothing;
  return MeanOfLabelled(labels, student, [&](const at::Tensor& logits, const at::Tensor& bits) {
    return at::binary_cross_entropy_with_logits(logits, bits * (1 - smoothing) + smoothing / 2,
                                                /*weight=*/{}, /*pos_weight=*/{},
                                                at::Reduction::None)
        .mean(1);
  });
}

at::Tensor DistanceToLabels(const at::Tensor& student, const at::Tensor& labels,
                            const LossOptions& options) {
  return MeanOfLabelled(labels, student, TermOf(options.soft).of_values);
}

using HardTerm = at::Tensor (*)(const at::Tensor& student, const at::Tensor& labels,
                                const LossOptions& options);
// In the order of AnswerKind.
constexpr HardTerm kHardTerms[] = {&CrossEntropy, &BinaryCrossEntropy, &DistanceToLabels};
static_assert(std::size(kHardTerms) == std::size(kAnswerKinds));

// Picks the rows that count.
class Counted {
 public:
  Counted(const at::Tensor& mask, const at::Device& device) {
    if (mask.defined()) rows_ = mask.reshape({-1}).nonzero().squeeze(1).to(device);
  }
  at::Tensor Of(const at::Tensor& rows) const {
    return rows_.defined() && rows.defined() ? rows.index_select(0, rows_) : rows;
  }
  TopKTargets Of(const TopKTargets& targets) const {
    return {Of(targets.probabilities), Of(targets.class_indexes), Of(targets.tail_mass)};
  }

 private:
  // int64 [rows that count]; undefined: all.
  at::Tensor rows_;
};

// [..., n] as [rows, n].
at::Tensor AsRows(const at::Tensor& answers) {
  return answers.defined() && answers.dim() != 2 ? answers.reshape({-1, answers.size(-1)})
                                                 : answers;
}
const TopKTargets& AsRows(const TopKTargets& targets) { return targets; }

template <typename Targets>
DistillationLoss ComputeOfRows(const at::Tensor& student, const Targets& targets,
                               const at::Tensor& labels, const LossOptions& options) {
  DistillationLoss loss;
  const auto hard_term = [&] {
    return kHardTerms[static_cast<int>(options.answers)](student, labels, options);
  };
  // A term without weight is measured without recording its gradient.
  const double alpha = options.alpha;
  at::Tensor hard;
  if (options.labelled && alpha < 1) {
    hard = hard_term();
    loss.hard = hard.detach();
  } else if (options.labelled) {
    const torch::NoGradGuard no_grad;
    loss.hard = hard_term();
  }
  const LossSpec& spec = SpecOf(options.soft);
  if (alpha == 0 || (spec.needs_all_labels && !options.labelled)) {
    // Without either term, a loss that moves nothing.
    loss.total = hard.defined() ? hard : student.sum() * 0;
    return loss;
  }
  const at::Tensor soft = SoftTerm(student, targets, labels, options, &loss);
  loss.soft = soft.detach();
  const double weight = spec.scales_with_t2 ? options.temperature * options.temperature : 1;
  loss.total = soft * (alpha * weight);
  if (hard.defined()) loss.total = loss.total + hard * (1 - alpha);
  return loss;
}

template <typename Targets>
DistillationLoss Compute(const at::Tensor& student_answers, const Targets& targets,
                         const at::Tensor& labels, const LossOptions& options,
                         const at::Tensor& mask) {
  TORCH_INTERNAL_ASSERT(Fits(options.soft, options.answers), "the loss does not fit the answers");
  const Counted counted(mask, student_answers.device());
  const at::Tensor student = counted.Of(AsRows(student_answers));
  if (student.size(0) == 0) {
    DistillationLoss nothing;
    nothing.total = student_answers.sum() * 0;
    return nothing;
  }
  const bool of_each = SpecOf(options.answers).labels_each;
  const at::Tensor flat = of_each ? labels.reshape({-1, student.size(1)}) : labels.reshape({-1});
  return ComputeOfRows(student, counted.Of(AsRows(targets)), counted.Of(flat), options);
}

}  // namespace

DistillationLoss ComputeDistillationLoss(const at::Tensor& student_answers,
                                         const at::Tensor& teacher_scaled, const at::Tensor& labels,
                                         const LossOptions& options, const at::Tensor& mask) {
  return Compute(student_answers, teacher_scaled, labels, options, mask);
}

DistillationLoss ComputeDistillationLoss(const at::Tensor& student_answers,
                                         const TopKTargets& targets, const at::Tensor& labels,
                                         const LossOptions& options, const at::Tensor& mask) {
  return Compute(student_answers, targets, labels, options, mask);
}

}  // namespace distillery

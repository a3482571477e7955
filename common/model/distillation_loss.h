// The distillation loss of Hinton, Vinyals, Dean 2015 ("Distilling the knowledge in a neural
// network", section 2):
//
//   L = alpha * T^2 * KL(p_T || q_T) + (1 - alpha) * CE(y, q_1)
//
// with p_T = softmax(z/T) of the teacher, q_T = softmax(s/T) of the student, q_1 = softmax(s).
// KL and CE are sums over classes and means over the batch ("batchmean"). T^2 keeps the gradient of
// the soft term at one scale for all T. Note that alpha weights the soft term; some tutorials let it
// weight the hard one.
//
// Of the teacher's k largest probabilities alone, KL is over k + 1 outcomes: these classes, and all
// others together, the tail:
//
//   KL = sum_i p_i log(p_i / q_i) + p_tail log(p_tail / q_tail),   q_tail = sum of the other q
//
// The k classes alone, as they are or scaled up to 1, are a biased target: they leave the student
// nothing for the others (Anshumann et al. 2025, "Sparse logit sampling", arXiv:2503.16870).
#pragma once

#include <ATen/ATen.h>

namespace distillery {

struct DistillationLoss {
  // L; has the gradient.
  at::Tensor total;
  // KL(p_T || q_T), without alpha and T^2, detached; undefined if alpha is 0.
  at::Tensor soft;
  // CE(y, q_1), without 1 - alpha, detached.
  at::Tensor hard;
};

// student_logits s [batch, classes]; teacher_scaled_logits z/T [batch, classes], as the teacher sends
// them, ignored if alpha is 0; labels y int64 [batch]. REQUIRES: temperature > 0, 0 <= alpha <= 1.
DistillationLoss ComputeDistillationLoss(const at::Tensor& student_logits,
                                         const at::Tensor& teacher_scaled_logits,
                                         const at::Tensor& labels, double alpha,
                                         double temperature);

// p_T of the k most probable classes.
struct TopKTargets {
  // [batch, k]
  at::Tensor probabilities;
  // int64 [batch, k], no class twice in a row.
  at::Tensor class_indexes;
  // The sum of all other classes [batch].
  at::Tensor tail_mass;
};

// Rows of `targets` are scaled to the sum 1, which their rounding has moved. REQUIRES: as above;
// 1 <= k <= classes, and a sum above 0.
DistillationLoss ComputeDistillationLoss(const at::Tensor& student_logits,
                                         const TopKTargets& targets, const at::Tensor& labels,
                                         double alpha, double temperature);

}  // namespace distillery

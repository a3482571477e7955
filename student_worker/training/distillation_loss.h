// Distillation losses from logits alone. All are
//
//   L = alpha * weight * soft + (1 - alpha) * CE(y, q_1)
//
// where `soft` is a mean over the batch ("batchmean"), z the teacher's logits, s the student's,
// p_T = softmax(z/T), q_T = softmax(s/T). alpha weights the soft term; some tutorials let it weight
// the hard one. `weight` is T^2, which keeps the gradient of the soft term at one scale for all T;
// 1 for mse, which has no T.
//
//   kd                  KL(p_T || q_T). Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a
//                       neural network", section 2
//   dkd                 dkd_alpha * TCKD + dkd_beta * NCKD: kd taken apart into the KL of (target
//                       class, all others) and the KL among the others. Zhao et al. 2022,
//                       "Decoupled knowledge distillation", equations 7 and 8; its values are 1 and
//                       8
//   logit_standardized  kd of (z - mean) / deviation and (s - mean) / deviation, by sample over the
//                       classes. Sun et al. 2024, "Logit standardization in knowledge distillation"
//   mse                 mean over the classes of (z - s)^2. Ba, Caruana 2014; Kim et al. 2021
//   reverse_kl          KL(q_T || p_T), which seeks a mode. Gu et al. 2024, "MiniLLM", section 2.2
//   jsd                 KL(p_T || m) / 2 + KL(q_T || m) / 2, m = (p_T + q_T) / 2. Agarwal et al.
//   2024,
//                       "On-policy distillation of language models", section 2, beta = 1/2
//
// With the teacher's k largest probabilities alone, kd, reverse_kl and jsd are over k + 1 outcomes:
// these classes, and all others together, the tail:
//
//   KL = sum_i p_i log(p_i / q_i) + p_tail log(p_tail / q_tail),   q_tail = sum of the other q
//
// The k classes alone, as they are or scaled up to 1, are a biased target: they leave the student
// nothing for the others (Anshumann et al. 2025, "Sparse logit sampling", arXiv:2503.16870). The
// other losses need every logit.
#pragma once

#include <ATen/ATen.h>

#include "common/run/loss_names.h"

namespace distillery {

struct LossOptions {
  // Weight of the soft term, 0 to 1.
  double alpha = 0.9;
  // T > 0.
  double temperature = 4;
  SoftLoss soft = SoftLoss::kKd;
  // CE is of (1 - e) onehot(y) + e / classes, e in 0 to below 1. Szegedy et al. 2016, section 7.
  double label_smoothing = 0;
  // The weights of dkd's two terms.
  double dkd_alpha = 1;
  double dkd_beta = 8;
  // At least one sample of the batch has a label. False: L is the soft term alone.
  bool labelled = true;
};

struct DistillationLoss {
  // L; has the gradient.
  at::Tensor total;
  // The soft term, without alpha and weight, detached; undefined if alpha is 0.
  at::Tensor soft;
  // CE over the samples with a label, without 1 - alpha, detached; undefined if none has one.
  at::Tensor hard;
  // The two terms of dkd, without dkd_alpha and dkd_beta, detached; else undefined.
  at::Tensor dkd_target;
  at::Tensor dkd_other;
};

// student_logits s [batch, classes]; teacher_scaled_logits z/T [batch, classes], as the teacher
// sends them, ignored if alpha is 0; labels y int64 [batch], -100 for a sample without label (not
// with dkd). REQUIRES: options in the ranges above.
DistillationLoss ComputeDistillationLoss(const at::Tensor& student_logits,
                                         const at::Tensor& teacher_scaled_logits,
                                         const at::Tensor& labels, const LossOptions& options);

// p_T of the k most probable classes.
struct TopKTargets {
  // [batch, k]
  at::Tensor probabilities;
  // int64 [batch, k], no class twice in a row.
  at::Tensor class_indexes;
  // The sum of all other classes [batch].
  at::Tensor tail_mass;
};

// Rows of `targets` are scaled to the sum 1, which their rounding has moved; where a logarithm of a
// probability is wanted that float16 has rounded to 0, it is that of 2^-25. REQUIRES: as above;
// 1 <= k <= classes, a sum above 0, and TakesTopK(options.soft).
DistillationLoss ComputeDistillationLoss(const at::Tensor& student_logits,
                                         const TopKTargets& targets, const at::Tensor& labels,
                                         const LossOptions& options);

}  // namespace distillery

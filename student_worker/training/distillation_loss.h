// Distillation losses from a model's answers alone. All are
//
//   L = alpha * weight * soft + (1 - alpha) * hard
//
// where `soft` and `hard` are means over the rows that count ("batchmean"): samples, or with
// positions each position of each sample. z is the teacher's answer of a row, s the student's.
// alpha weights the soft term; some tutorials let it weight the hard one.
//
// Of classes, with p_T = softmax(z/T), q_T = softmax(s/T), `hard` is the cross entropy CE(y, q_1).
// `weight` is T^2, which keeps the gradient of the soft term at one scale for all T; 1 for losses
// without T: mse, smooth_l1 and cosine.
//
//   kd                  KL(p_T || q_T). Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a
//                       neural network", section 2
//   dkd                 dkd_alpha * TCKD + dkd_beta * NCKD: kd taken apart into the KL of (target
//                       class, all others) and the KL among the others. Zhao et al. 2022,
//                       "Decoupled knowledge distillation", equations 7 and 8; its values are 1 and
//                       8. Rows without a label count in neither
//   logit_standardized  kd of (z - mean) / deviation and (s - mean) / deviation, by row over the
//                       classes. Sun et al. 2024, "Logit standardization in knowledge distillation"
//   mse                 mean over the classes of (z - s)^2. Ba, Caruana 2014; Kim et al. 2021
//   reverse_kl          KL(q_T || p_T), which seeks a mode. Gu et al. 2024, "MiniLLM", section 2.2
//   jsd                 KL(p_T || m) / 2 + KL(q_T || m) / 2, m = (p_T + q_T) / 2. Agarwal et al.
//                       2024, "On-policy distillation of language models", section 2, beta = 1/2
//
// Of several labels, each is a distribution over two outcomes: p_T = sigmoid(z/T), 1 - p_T. kd,
// reverse_kl, jsd and mse are then means over the labels of each row, and `hard` is the mean binary
// cross entropy.
//
// Of values, `soft` lies between z and s and `hard` between s and the label y, by the same
// function:
//
//   mse                 mean over the values of (z - s)^2
//   smooth_l1           mean over the values of d^2 / 2 where d = |z - s| < 1, else d - 1/2
//   cosine              1 - cos(z, s)
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
  // CE is of (1 - e) onehot(y) + e / classes, e in 0 to below 1. Szegedy et al. 2016, section 7. Of
  // several labels, each has the two classes 0 and 1. Of values it must be 0.
  double label_smoothing = 0;
  // The weights of dkd's two terms.
  double dkd_alpha = 1;
  double dkd_beta = 8;
  // At least one row that counts has a label. False: L is the soft term alone.
  bool labelled = true;
  // What the answers are; Fits(soft, answers).
  AnswerKind answers = AnswerKind::kClasses;
};

struct DistillationLoss {
  // L; has the gradient. 0, which moves nothing, where neither term is there.
  at::Tensor total;
  // The soft term, without alpha and weight, detached; undefined if alpha is 0, if no row counts,
  // or for dkd if no row has a label.
  at::Tensor soft;
  // The hard term over the rows with a label, without 1 - alpha, detached; undefined if none has
  // one.
  at::Tensor hard;
  // The two terms of dkd, without dkd_alpha and dkd_beta, detached; else undefined.
  at::Tensor dkd_target;
  at::Tensor dkd_other;
};

// student_answers s [batch, positions..., n]: any number of sizes before the last, whose product
// are the rows. teacher_scaled z/T in as many numbers, as the teacher sends them, ignored if alpha
// is 0. Labels: of classes int64 [rows], -100 for a row without label; else a number for each of
// the row's, [rows, n]: bits, as float or uint8, or values; a row of float labels that begins with
// NaN has none. Any sizes that flatten to these will do. `mask` [rows], bool or whole numbers: a
// row whose mask is 0 counts in nothing; undefined: all count. It may lie on the CPU whatever the
// answers' device is, which then need not be waited for. REQUIRES: options in the ranges above.
DistillationLoss ComputeDistillationLoss(const at::Tensor& student_answers,
                                         const at::Tensor& teacher_scaled, const at::Tensor& labels,
                                         const LossOptions& options, const at::Tensor& mask = {});

// p_T of the k most probable classes.
struct TopKTargets {
  // [rows, k]
  at::Tensor probabilities;
  // int64 [rows, k], no class twice in a row.
  at::Tensor class_indexes;
  // The sum of all other classes [rows].
  at::Tensor tail_mass;
};

// Rows of `targets` are scaled to the sum 1, which their rounding has moved; where a logarithm of a
// probability is wanted that float16 has rounded to 0, it is that of 2^-25. REQUIRES: as above;
// 1 <= k <= classes, a sum above 0, answers of classes, and TakesTopK(options.soft).
DistillationLoss ComputeDistillationLoss(const at::Tensor& student_answers,
                                         const TopKTargets& targets, const at::Tensor& labels,
                                         const LossOptions& options, const at::Tensor& mask = {});

}  // namespace distillery

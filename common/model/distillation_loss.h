// The distillation loss of Hinton, Vinyals, Dean 2015 ("Distilling the knowledge in a neural
// network", section 2):
//
//   L = alpha * T^2 * KL(p_T || q_T) + (1 - alpha) * CE(y, q_1)
//
// with p_T = softmax(z/T) of the teacher, q_T = softmax(s/T) of the student, q_1 = softmax(s).
// KL and CE are sums over classes and means over the batch ("batchmean"). T^2 keeps the gradient of
// the soft term at one scale for all T. Note that alpha weights the soft term; some tutorials let it
// weight the hard one.
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

}  // namespace distillery

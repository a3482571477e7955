#include "common/model/distillation_loss.h"

#include <torch/script.h>

namespace distillery {

DistillationLoss ComputeDistillationLoss(const at::Tensor& student_logits,
                                         const at::Tensor& teacher_scaled_logits,
                                         const at::Tensor& labels, double alpha,
                                         double temperature) {
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
  const at::Tensor log_p = at::log_softmax(teacher_scaled_logits, 1);
  const at::Tensor log_q = at::log_softmax(student_logits / temperature, 1);
  const at::Tensor soft =
      (log_p.exp() * (log_p - log_q)).sum() / static_cast<double>(student_logits.size(0));
  loss.soft = soft.detach();
  loss.total = soft * (alpha * temperature * temperature);
  if (alpha < 1) loss.total = loss.total + hard * (1 - alpha);
  return loss;
}

}  // namespace distillery

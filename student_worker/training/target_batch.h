// The soft targets of one batch, gathered sample by sample from those of shards.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "common/soft_targets/format.h"
#include "common/soft_targets/rows.h"
#include "student_worker/training/distillation_loss.h"

namespace distillery {

// Not thread-safe.
class TargetBatch {
 public:
  // For samples of `positions` answers each (1: one for the sample), of `classes` numbers, in
  // `format`; the representation is kLogits.
  TargetBatch(int64_t batch_size, int64_t positions, int64_t classes,
              const SoftTargetFormat& format);

  // Copies sample `sample` of `rows`, whose answers lie one after the other, to `place` of the
  // batch.
  void Set(int64_t place, const SoftTargetRows& rows, int64_t sample);

  // The loss of the first samples of the batch, as many as the student answers, at
  // options.temperature, which may differ from the format's with dense targets. Student's answers
  // [samples, positions..., classes]; labels and mask as for ComputeDistillationLoss.
  DistillationLoss Loss(const at::Tensor& student_answers, const at::Tensor& labels,
                        const LossOptions& options, const at::Tensor& mask = {}) const;

 private:
  const bool top_k_;
  const double temperature_;
  const int64_t positions_;
  // Classes, or k.
  const int64_t columns_;
  // Dense: z/T [batch * positions, classes].
  at::Tensor scaled_logits_;
  // Top-k.
  TopKTargets targets_;
};

}  // namespace distillery

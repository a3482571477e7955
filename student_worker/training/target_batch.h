// The soft targets of one batch, gathered row by row from the rows of shards.
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
  // For rows in `format`; the representation is kLogits.
  TargetBatch(int64_t batch_size, int64_t classes, const SoftTargetFormat& format);

  // Copies row `row` of `rows` to `place` of the batch.
  void Set(int64_t place, const SoftTargetRows& rows, int64_t row);

  // The loss of the first rows of the batch, as many as there are labels, at options.temperature,
  // which may differ from the format's with dense targets; see ComputeDistillationLoss.
  DistillationLoss Loss(const at::Tensor& student_logits, const at::Tensor& labels,
                        const LossOptions& options) const;

 private:
  const bool top_k_;
  const double temperature_;
  // Classes, or k.
  const int64_t columns_;
  // Dense: z/T [batch, classes].
  at::Tensor scaled_logits_;
  // Top-k.
  TopKTargets targets_;
};

}  // namespace distillery

#include "common/model/target_batch.h"

#include <torch/script.h>

#include <algorithm>

namespace distillery {

TargetBatch::TargetBatch(int64_t batch_size, int64_t classes, const SoftTargetFormat& format)
    : top_k_(format.encoding == Encoding::kTopK), columns_(top_k_ ? format.top_k : classes) {
  if (top_k_) {
    targets_.probabilities = torch::empty({batch_size, columns_}, torch::kFloat32);
    targets_.class_indexes = torch::empty({batch_size, columns_}, torch::kInt64);
    targets_.tail_mass = torch::empty({batch_size}, torch::kFloat32);
  } else {
    scaled_logits_ = torch::empty({batch_size, columns_}, torch::kFloat32);
  }
}

void TargetBatch::Set(int64_t place, const SoftTargetRows& rows, int64_t row) {
  const auto copy = [&](const auto& from, auto* to) {
    const auto start = from.begin() + row * columns_;
    std::copy(start, start + columns_, to + place * columns_);
  };
  if (!top_k_) {
    copy(rows.values, scaled_logits_.data_ptr<float>());
    return;
  }
  copy(rows.probabilities, targets_.probabilities.data_ptr<float>());
  copy(rows.class_indexes, targets_.class_indexes.data_ptr<int64_t>());
  targets_.tail_mass.data_ptr<float>()[place] = rows.tail_mass[static_cast<size_t>(row)];
}

DistillationLoss TargetBatch::Loss(const at::Tensor& student_logits, const at::Tensor& labels,
                                   const LossOptions& options) const {
  const int64_t size = labels.size(0);
  if (!top_k_) {
    return ComputeDistillationLoss(student_logits, scaled_logits_.narrow(0, 0, size), labels,
                                   options);
  }
  const TopKTargets targets{targets_.probabilities.narrow(0, 0, size),
                            targets_.class_indexes.narrow(0, 0, size),
                            targets_.tail_mass.narrow(0, 0, size)};
  return ComputeDistillationLoss(student_logits, targets, labels, options);
}

}  // namespace distillery

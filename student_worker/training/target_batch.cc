#include "student_worker/training/target_batch.h"

#include <torch/script.h>

#include <algorithm>

namespace distillery {

TargetBatch::TargetBatch(int64_t batch_size, int64_t classes, const SoftTargetFormat& format)
    : top_k_(SpecOf(format.encoding).top_k),
      temperature_(format.temperature),
      columns_(top_k_ ? format.top_k : classes) {
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
  const auto part = [&](const at::Tensor& tensor) {
    return tensor.narrow(0, 0, size).to(student_logits.device());
  };
  if (!top_k_) {
    at::Tensor scaled = part(scaled_logits_);
    if (options.temperature != temperature_) {
      scaled = scaled * (temperature_ / options.temperature);
    }
    return ComputeDistillationLoss(student_logits, scaled, labels, options);
  }
  const TopKTargets targets{part(targets_.probabilities), part(targets_.class_indexes),
                            part(targets_.tail_mass)};
  return ComputeDistillationLoss(student_logits, targets, labels, options);
}

}  // namespace distillery

#include "student_worker/training/target_batch.h"

#include <torch/script.h>

#include <algorithm>

namespace distillery {

TargetBatch::TargetBatch(int64_t batch_size, int64_t positions, int64_t classes,
                         const SoftTargetFormat& format)
    : top_k_(SpecOf(format.encoding).top_k),
      temperature_(format.temperature),
      positions_(positions),
      columns_(top_k_ ? format.top_k : classes) {
  const int64_t rows = batch_size * positions;
  if (top_k_) {
    targets_.probabilities = torch::empty({rows, columns_}, torch::kFloat32);
    targets_.class_indexes = torch::empty({rows, columns_}, torch::kInt64);
    targets_.tail_mass = torch::empty({rows}, torch::kFloat32);
  } else {
    scaled_logits_ = torch::empty({rows, columns_}, torch::kFloat32);
  }
}

void TargetBatch::Set(int64_t place, const SoftTargetRows& rows, int64_t sample) {
  const auto copy = [&](const auto& from, int64_t columns, auto* to) {
    const int64_t size = positions_ * columns;
    const auto start = from.begin() + sample * size;
    std::copy(start, start + size, to + place * size);
  };
  if (!top_k_) {
    copy(rows.values, columns_, scaled_logits_.data_ptr<float>());
    return;
  }
  copy(rows.probabilities, columns_, targets_.probabilities.data_ptr<float>());
  copy(rows.class_indexes, columns_, targets_.class_indexes.data_ptr<int64_t>());
  copy(rows.tail_mass, 1, targets_.tail_mass.data_ptr<float>());
}

DistillationLoss TargetBatch::Loss(const at::Tensor& student_answers, const at::Tensor& labels,
                                   const LossOptions& options, const at::Tensor& mask) const {
  const int64_t rows = student_answers.size(0) * positions_;
  const auto part = [&](const at::Tensor& tensor) {
    return tensor.narrow(0, 0, rows).to(student_answers.device());
  };
  if (!top_k_) {
    at::Tensor scaled = part(scaled_logits_);
    if (options.temperature != temperature_) {
      scaled = scaled * (temperature_ / options.temperature);
    }
    return ComputeDistillationLoss(student_answers, scaled, labels, options, mask);
  }
  const TopKTargets targets{part(targets_.probabilities), part(targets_.class_indexes),
                            part(targets_.tail_mass)};
  return ComputeDistillationLoss(student_answers, targets, labels, options, mask);
}

}  // namespace distillery

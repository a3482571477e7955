#include "common/model/evaluation.h"

#include <numeric>

#include "common/base/status_macros.h"
#include "common/model/inputs.h"
#include "common/model/numerics.h"

namespace distillery {

at::Tensor ForwardLogits(torch::jit::Module& module, const ModelCard& card,
                         const at::Tensor& inputs) {
  const at::Tensor output =
      module.forward({Normalise(inputs, card)}).toTensor().to(torch::kFloat32);
  if (!card.outputs_probabilities) return output;
  // log p are logits of the same softmax; the floor keeps a class of probability 0 finite.
  constexpr double kSmallest = 1e-30;
  return output.clamp_min(kSmallest).log();
}

absl::StatusOr<EvaluationMetrics> EvaluateModel(torch::jit::Module& module, const ModelCard& card,
                                                const Dataset& dataset,
                                                const TeacherLogits& teacher,
                                                const std::atomic<bool>& cancel) {
  DISTILLERY_RETURN_IF_ERROR(CheckFits(card, dataset));
  EvaluationMetrics metrics;
  double cross_entropy = 0;
  if (teacher) metrics.agreement_count = 0;
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&]() -> absl::Status {
    const c10::InferenceMode inference;
    if (module.hasattr("training")) module.eval();
    std::vector<float> teacher_rows;
    for (int64_t shard = 0; shard < dataset.shard_count(); ++shard) {
      if (cancel.load()) return absl::CancelledError("evaluation cancelled");
      const RowRange range = *dataset.Shard(shard);
      std::vector<int64_t> rows(range.count);
      std::iota(rows.begin(), rows.end(), range.first);
      const at::Tensor logits = ForwardLogits(module, card, LoadInputs(dataset, rows, View{}));
      const at::Tensor labels = LoadLabels(dataset, rows);
      const at::Tensor choice = logits.argmax(1);
      metrics.sample_count += range.count;
      metrics.correct_count += choice.eq(labels).sum().item<int64_t>();
      cross_entropy += at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum).item<double>();
      if (!teacher) continue;
      DISTILLERY_RETURN_IF_ERROR(teacher(shard, range.count, &teacher_rows));
      const at::Tensor teacher_logits =
          torch::from_blob(teacher_rows.data(), {range.count, card.class_count()});
      metrics.agreement_count += choice.eq(teacher_logits.argmax(1)).sum().item<int64_t>();
    }
    return absl::OkStatus();
  }));
  metrics.cross_entropy = cross_entropy / static_cast<double>(metrics.sample_count);
  return metrics;
}

}  // namespace distillery

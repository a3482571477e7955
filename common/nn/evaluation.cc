#include "common/nn/evaluation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/status_macros.h"
#include "common/nn/inputs.h"
#include "common/nn/model_call.h"
#include "common/nn/numerics.h"

namespace distillery {
namespace {

at::Device DeviceOf(const torch::jit::Module& module) {
  for (const at::Tensor& parameter : module.parameters()) return parameter.device();
  return at::Device(at::kCPU);
}

// Adds up what the rows of shards say.
class Tally {
 public:
  explicit Tally(int64_t classes) : classes_(classes) {
    if (classes <= kMostDetailedClasses) {
      metrics_.samples_per_class.resize(static_cast<size_t>(classes));
      metrics_.correct_per_class.resize(static_cast<size_t>(classes));
    }
    if (classes <= kMostConfusionClasses) {
      metrics_.confusion_matrix.resize(static_cast<size_t>(classes * classes));
    }
    metrics_.calibration_bins.resize(kCalibrationBins);
  }

  // logits [rows, classes], labels int64 [rows], both on the CPU.
  void Add(const at::Tensor& logits, const at::Tensor& labels) {
    constexpr int64_t kTop = 5;
    const at::Tensor log_q = at::log_softmax(logits, 1);
    const auto [best, choice] = log_q.max(1);
    const at::Tensor of_label = log_q.gather(1, labels.unsqueeze(1));
    const at::Tensor above = log_q.gt(of_label).sum(1);
    metrics_.sample_count += labels.size(0);
    metrics_.top5_count += above.lt(kTop).sum().item<int64_t>();
    cross_entropy_ -= of_label.sum(at::kDouble).item<double>();
    const at::Tensor confidence = best.exp();
    const auto* const confidences = confidence.data_ptr<float>();
    const auto* const choices = choice.data_ptr<int64_t>();
    const auto* const wanted = labels.data_ptr<int64_t>();
    for (int64_t i = 0; i < labels.size(0); ++i) {
      const bool correct = choices[i] == wanted[i];
      metrics_.correct_count += correct ? 1 : 0;
      if (!metrics_.samples_per_class.empty()) {
        metrics_.samples_per_class[static_cast<size_t>(wanted[i])] += 1;
        metrics_.correct_per_class[static_cast<size_t>(wanted[i])] += correct ? 1 : 0;
      }
      if (!metrics_.confusion_matrix.empty()) {
        ++metrics_.confusion_matrix[static_cast<size_t>(wanted[i] * classes_ + choices[i])];
      }
      // It is NaN where weights have diverged, and NaN is no index.
      const float part = std::isnan(confidences[i]) ? 0.0F : confidences[i];
      const auto bin = static_cast<int64_t>(part * static_cast<float>(kCalibrationBins));
      CalibrationBin& counted =
          metrics_.calibration_bins[static_cast<size_t>(std::min(bin, kCalibrationBins - 1))];
      ++counted.sample_count;
      counted.correct_count += correct ? 1 : 0;
      counted.confidence_sum += static_cast<double>(confidences[i]);
    }
  }

  // Both [rows, classes], of the same samples.
  void AddTeacher(const at::Tensor& logits, const at::Tensor& teacher_logits) {
    metrics_.agreement_count = std::max<int64_t>(0, metrics_.agreement_count) +
                               logits.argmax(1).eq(teacher_logits.argmax(1)).sum().item<int64_t>();
    const at::Tensor log_p = at::log_softmax(teacher_logits, 1);
    const at::Tensor difference = log_p - at::log_softmax(logits, 1);
    teacher_kl_ += (log_p.exp() * difference).sum(at::kDouble).item<double>();
  }

  EvaluationMetrics Finish() {
    const auto samples = static_cast<double>(metrics_.sample_count);
    metrics_.cross_entropy = cross_entropy_ / samples;
    metrics_.teacher_kl = teacher_kl_ / samples;
    return metrics_;
  }

 private:
  const int64_t classes_;
  double cross_entropy_ = 0;
  double teacher_kl_ = 0;
  EvaluationMetrics metrics_;
};

}  // namespace

at::Tensor ForwardLogits(torch::jit::Module& module, const ModelCard& card,
                         const at::Tensor& inputs) {
  return LogitsOf(CallModel(module, card, Normalise(inputs, card)), card);
}

absl::StatusOr<EvaluationMetrics> EvaluateModel(torch::jit::Module& module, const ModelCard& card,
                                                const Dataset& dataset,
                                                const TeacherLogits& teacher,
                                                const std::atomic<bool>& cancel,
                                                std::vector<float>* kept) {
  constexpr int64_t kRows = 256;
  DISTILLERY_RETURN_IF_ERROR(CheckFits(card, dataset));
  Tally tally(card.class_count());
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&]() -> absl::Status {
    const c10::InferenceMode inference;
    if (module.hasattr("training")) module.eval();
    const at::Device device = DeviceOf(module);
    std::vector<float> teacher_rows;
    for (int64_t shard = 0; shard < dataset.shard_count(); ++shard) {
      if (cancel.load()) return absl::CancelledError("evaluation cancelled");
      const RowRange range = *dataset.Shard(shard);
      if (teacher) DISTILLERY_RETURN_IF_ERROR(teacher(shard, range.count, &teacher_rows));
      // Activations of a whole shard would not fit a small machine.
      for (int64_t first = 0; first < range.count; first += kRows) {
        std::vector<int64_t> rows(static_cast<size_t>(std::min(kRows, range.count - first)));
        std::iota(rows.begin(), rows.end(), range.first + first);
        DISTILLERY_ASSIGN_OR_RETURN(const at::Tensor inputs, LoadInputs(dataset, rows, View{}));
        const at::Tensor logits = ForwardLogits(module, card, inputs.to(device)).cpu().contiguous();
        if (kept != nullptr) {
          const auto* const values = logits.data_ptr<float>();
          kept->insert(kept->end(), values, values + logits.numel());
        }
        tally.Add(logits, LoadLabels(dataset, rows));
        if (!teacher) continue;
        tally.AddTeacher(logits, torch::from_blob(teacher_rows.data() + first * card.class_count(),
                                                  {logits.size(0), card.class_count()}));
      }
    }
    return absl::OkStatus();
  }));
  return tally.Finish();
}

}  // namespace distillery

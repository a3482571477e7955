#include "common/nn/evaluation.h"

#include <algorithm>
#include <numeric>

#include "common/base/status_macros.h"
#include "common/nn/answer_tally.h"
#include "common/nn/inputs.h"
#include "common/nn/model_call.h"
#include "common/nn/normaliser.h"
#include "common/nn/numerics.h"

namespace distillery {
namespace {

at::Device DeviceOf(const torch::jit::Module& module) {
  for (const at::Tensor& parameter : module.parameters()) return parameter.device();
  return at::Device(at::kCPU);
}

}  // namespace

at::Tensor ForwardLogits(torch::jit::Module& module, const ModelCard& card,
                         const std::vector<at::Tensor>& inputs) {
  const Normaliser normalise(card, inputs.front().device());
  return LogitsOf(CallModel(module, card, normalise(inputs)), card);
}

absl::StatusOr<EvaluationMetrics> EvaluateModel(torch::jit::Module& module, const ModelCard& card,
                                                const Dataset& dataset,
                                                const TeacherLogits& teacher,
                                                const std::atomic<bool>& cancel,
                                                std::vector<float>* kept) {
  constexpr int64_t kRows = 256;
  DISTILLERY_RETURN_IF_ERROR(CheckFits(card, dataset));
  const AnswerSpec& answer = dataset.spec().answer;
  const int64_t per_sample = answer.position_count() * card.class_count();
  const std::unique_ptr<AnswerTally> tally = AnswerTally::Create(answer, card.class_count());
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
        DISTILLERY_ASSIGN_OR_RETURN(LoadedSamples samples,
                                    LoadSamples(dataset, rows, View{}, card.samples.inputs));
        for (at::Tensor& input : samples.inputs) input = input.to(device);
        const at::Tensor logits = ForwardLogits(module, card, samples.inputs).cpu().contiguous();
        if (kept != nullptr) {
          const auto* const values = logits.data_ptr<float>();
          kept->insert(kept->end(), values, values + logits.numel());
        }
        at::Tensor of_teacher;
        if (teacher) {
          of_teacher = torch::from_blob(teacher_rows.data() + first * per_sample,
                                        {logits.size(0), per_sample});
        }
        tally->Add(logits, samples.labels, of_teacher);
      }
    }
    return absl::OkStatus();
  }));
  return tally->Finish();
}

}  // namespace distillery

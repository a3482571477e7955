#include "cli/models/logit_reader.h"

#include <torch/script.h>

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/nn/evaluation.h"
#include "common/nn/inputs.h"
#include "common/nn/model_file.h"
#include "common/nn/numerics.h"

namespace distillery {

absl::StatusOr<SplitLogits> ComputeLogits(const LogitQuestion& question, const Dataset& dataset) {
  constexpr int64_t kRows = 250;
  ConfigureTorch(1);
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model,
                              LoadModelWithCard(question.model_path, question.card_path));
  DISTILLERY_RETURN_IF_ERROR(CheckFits(model.card, dataset));
  if (question.change && !(model.card.samples.picture_shape() == dataset.shape())) {
    return absl::InvalidArgumentError(absl::StrCat(
        question.model_path, " takes ", model.card.samples.ToString(), ", data set ",
        dataset.reference().name, " is ", dataset.spec().ToString(),
        ": pictures are spoilt in the size of the data, so give a model of that size"));
  }
  std::vector<int64_t> rows = question.rows;
  if (rows.empty()) {
    rows.resize(static_cast<size_t>(dataset.size()));
    std::iota(rows.begin(), rows.end(), 0);
  }
  SplitLogits result;
  result.class_count = dataset.class_count();
  result.logits.reserve(rows.size() * static_cast<size_t>(result.class_count));
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&]() -> absl::Status {
    const c10::InferenceMode inference;
    const auto count = static_cast<int64_t>(rows.size());
    for (int64_t first = 0; first < count; first += kRows) {
      if (StopSignal::Requested()) return absl::CancelledError("stopped");
      const std::vector<int64_t> batch(rows.begin() + first,
                                       rows.begin() + std::min(first + kRows, count));
      DISTILLERY_ASSIGN_OR_RETURN(const LoadedSamples samples,
                                  LoadSamples(dataset, batch, View{}, model.card.samples.inputs));
      for (size_t i = 0; i < batch.size(); ++i) {
        result.labels.push_back(dataset.Label(batch[i]));
        if (!question.change) continue;
        question.change(
            dataset.StoredIndex(batch[i]), dataset.shape(),
            samples.inputs[0].data_ptr<float>() + static_cast<int64_t>(i) * dataset.shape().size());
      }
      const at::Tensor logits =
          ForwardLogits(model.module, model.card, samples.inputs).contiguous();
      const auto* const values = logits.data_ptr<float>();
      result.logits.insert(result.logits.end(), values, values + logits.numel());
    }
    return absl::OkStatus();
  }));
  return result;
}

}  // namespace distillery

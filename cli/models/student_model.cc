#include "cli/models/student_model.h"

#include <torch/script.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/data/catalog.h"
#include "common/nn/architecture.h"
#include "common/nn/evaluation.h"
#include "common/nn/inputs.h"
#include "common/nn/int8_weights.h"
#include "common/nn/model_file.h"
#include "common/nn/normaliser.h"
#include "common/nn/numerics.h"
#include "common/nn/tied_parameters.h"

namespace distillery {

std::string DescribeParameters(int64_t count, int64_t frozen) {
  return absl::StrCat(count, " parameters",
                      frozen > 0 ? absl::StrCat(" (", frozen, " of them frozen)") : "");
}

absl::StatusOr<ModelFigures> MeasureModel(const ModelQuestion& question,
                                          std::vector<float>* logits) {
  ConfigureTorch(1);
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model,
                              LoadModelWithCard(question.model_path, question.card_path));
  DatasetCatalog catalog(question.data_dir);
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, catalog.Open(question.dataset));
  DISTILLERY_RETURN_IF_ERROR(Annotate(CheckFits(model.card, *dataset), question.model_path));
  TeacherLogits teacher_logits;
  std::optional<LoadedModel> teacher;
  if (!question.teacher_path.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(
        teacher, LoadModelWithCard(question.teacher_path, question.teacher_card_path));
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckFits(teacher->card, *dataset), question.teacher_path));
    // Data without names fit both.
    DISTILLERY_RETURN_IF_ERROR(
        CheckSameClasses({question.model_path, model.card.class_names},
                         {question.teacher_path, teacher->card.class_names}));
    teacher_logits = [&](int64_t shard, int64_t count, std::vector<float>* rows) -> absl::Status {
      DISTILLERY_ASSIGN_OR_RETURN(const RowRange range, dataset->Shard(shard));
      std::vector<int64_t> indexes(static_cast<size_t>(count));
      std::iota(indexes.begin(), indexes.end(), range.first);
      DISTILLERY_ASSIGN_OR_RETURN(
          const LoadedSamples samples,
          LoadSamples(*dataset, indexes, View{}, teacher->card.samples.inputs));
      const at::Tensor logits =
          ForwardLogits(teacher->module, teacher->card, samples.inputs).contiguous();
      rows->resize(static_cast<size_t>(logits.numel()));
      std::memcpy(rows->data(), logits.data_ptr<float>(), rows->size() * sizeof(float));
      return absl::OkStatus();
    };
  }
  if (question.teacher_logits != nullptr) {
    const std::vector<float>& known = *question.teacher_logits;
    const int64_t values = model.card.row_values();
    if (static_cast<int64_t>(known.size()) != dataset->size() * values) {
      return absl::InvalidArgumentError(
          absl::StrCat("the teacher gives ", known.size(), " logits where ", question.model_path,
                       " asks for ", dataset->size(), " samples of ", values));
    }
    teacher_logits = [&](int64_t shard, int64_t count, std::vector<float>* rows) -> absl::Status {
      DISTILLERY_ASSIGN_OR_RETURN(const RowRange range, dataset->Shard(shard));
      const auto first = known.begin() + range.first * values;
      rows->assign(first, first + count * values);
      return absl::OkStatus();
    };
  }
  ModelFigures figures;
  figures.architecture = model.card.architecture;
  figures.parameter_count = CountParameters(model.module);
  figures.frozen_parameter_count = CountFrozenParameters(model.module);
  figures.file_bytes = model.file_bytes;
  figures.class_names = model.card.class_names;
  DISTILLERY_ASSIGN_OR_RETURN(figures.metrics,
                              EvaluateModel(model.module, model.card, *dataset, teacher_logits,
                                            StopSignal::Flag(), logits));
  return figures;
}

absl::StatusOr<std::vector<float>> ComputeEntropies(const ModelQuestion& question, int64_t most) {
  constexpr int64_t kRows = 250;
  ConfigureTorch(1);
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model,
                              LoadModelWithCard(question.model_path, question.card_path));
  DatasetCatalog catalog(question.data_dir);
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, catalog.Open(question.dataset));
  DISTILLERY_RETURN_IF_ERROR(CheckFits(model.card, *dataset));
  std::vector<float> entropies;
  if (model.card.samples.answer.kind != AnswerKind::kClasses) return entropies;
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&]() -> absl::Status {
    const c10::InferenceMode inference;
    const int64_t count = std::min(most, dataset->size());
    for (int64_t first = 0; first < count; first += kRows) {
      if (StopSignal::Requested()) return absl::CancelledError("stopped");
      std::vector<int64_t> rows(static_cast<size_t>(std::min(kRows, count - first)));
      std::iota(rows.begin(), rows.end(), first);
      DISTILLERY_ASSIGN_OR_RETURN(const LoadedSamples samples,
                                  LoadSamples(*dataset, rows, View{}, model.card.samples.inputs));
      const at::Tensor logits = ForwardLogits(model.module, model.card, samples.inputs);
      const at::Tensor log_p = at::log_softmax(logits.reshape({-1, logits.size(-1)}), 1);
      const at::Tensor entropy = (log_p.exp() * log_p).sum(1).neg().contiguous();
      const auto* const values = entropy.data_ptr<float>();
      entropies.insert(entropies.end(), values, values + entropy.numel());
    }
    return absl::OkStatus();
  }));
  return entropies;
}

absl::StatusOr<ModelDescription> DescribeModel(const std::string& model_path,
                                               const std::string& card_path) {
  DISTILLERY_ASSIGN_OR_RETURN(const LoadedModel model, LoadModelWithCard(model_path, card_path));
  ModelDescription description;
  description.card = model.card;
  description.sha256 = model.sha256;
  description.file_bytes = model.file_bytes;
  description.parameter_count = CountParameters(model.module);
  description.frozen_parameter_count = CountFrozenParameters(model.module);
  description.int8 = HasInt8Weights(model.module);
  const Ties ties = TiesOf(model.module);
  for (const auto& parameter : model.module.named_parameters()) {
    const auto tie = ties.find(parameter.name);
    description.tensors.push_back({parameter.name, parameter.value.sizes().vec(), false,
                                   !parameter.value.requires_grad(),
                                   tie == ties.end() ? "" : tie->second});
  }
  for (const auto& buffer : model.module.named_buffers()) {
    description.tensors.push_back({buffer.name, buffer.value.sizes().vec(), true, false, ""});
  }
  int number = 0;
  for (const at::Tensor& constant : ConstantTensors(model.module)) {
    const bool int8 = constant.scalar_type() == at::kChar;
    description.tensors.push_back({absl::StrCat("constant ", number++, int8 ? " (int8)" : ""),
                                   constant.sizes().vec(), false, false, ""});
  }
  return description;
}

class Predictor::Model {
 public:
  explicit Model(LoadedModel loaded) : loaded_(std::move(loaded)) {}

  absl::StatusOr<std::vector<float>> Answer(const Sample& sample) {
    std::vector<float> result;
    DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
      const c10::InferenceMode inference;
      std::vector<at::Tensor> inputs;
      for (size_t i = 0; i < sample.inputs.size(); ++i) {
        const std::vector<int64_t> shape = BatchShape(loaded_.card.samples.inputs[i], 1);
        inputs.push_back(
            std::visit([&](const auto& numbers) { return torch::tensor(numbers).view(shape); },
                       sample.inputs[i]));
      }
      at::Tensor output = ForwardLogits(loaded_.module, loaded_.card, inputs);
      const AnswerKind kind = loaded_.card.samples.answer.kind;
      if (kind == AnswerKind::kClasses) output = at::softmax(output, -1);
      if (kind == AnswerKind::kMultilabel) output = at::sigmoid(output);
      output = output.contiguous();
      result.assign(output.data_ptr<float>(), output.data_ptr<float>() + output.numel());
      return absl::OkStatus();
    }));
    return result;
  }
  const ModelCard& card() const { return loaded_.card; }

 private:
  LoadedModel loaded_;
};

Predictor::Predictor(std::unique_ptr<Model> model) : model_(std::move(model)) {}
Predictor::~Predictor() = default;

absl::StatusOr<std::unique_ptr<Predictor>> Predictor::Load(const std::string& model_path,
                                                           const std::string& card_path) {
  ConfigureTorch(1);
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel loaded, LoadModelWithCard(model_path, card_path));
  return std::unique_ptr<Predictor>(new Predictor(std::make_unique<Model>(std::move(loaded))));
}

const ModelCard& Predictor::card() const { return model_->card(); }

absl::StatusOr<std::vector<float>> Predictor::Answer(const Sample& sample) {
  return model_->Answer(sample);
}

}  // namespace distillery

#include "cli/student_model.h"

#include <torch/script.h>

#include <cstring>
#include <numeric>
#include <optional>

#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/data/catalog.h"
#include "common/model/architecture.h"
#include "common/model/evaluation.h"
#include "common/model/inputs.h"
#include "common/model/model_file.h"
#include "common/model/numerics.h"

namespace distillery {
absl::StatusOr<ModelFigures> MeasureModel(const ModelQuestion& question) {
  ConfigureTorch(1);
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model,
                              LoadModelWithCard(question.model_path, question.card_path));
  DatasetCatalog catalog(question.data_dir);
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, catalog.Open(question.dataset));
  TeacherLogits teacher_logits;
  std::optional<LoadedModel> teacher;
  if (!question.teacher_path.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(
        teacher, LoadModelWithCard(question.teacher_path, question.teacher_card_path));
    DISTILLERY_RETURN_IF_ERROR(CheckFits(teacher->card, *dataset));
    teacher_logits = [&](int64_t shard, int64_t count, std::vector<float>* rows) -> absl::Status {
      DISTILLERY_ASSIGN_OR_RETURN(const RowRange range, dataset->Shard(shard));
      std::vector<int64_t> indexes(static_cast<size_t>(count));
      std::iota(indexes.begin(), indexes.end(), range.first);
      const at::Tensor logits =
          ForwardLogits(teacher->module, teacher->card, LoadInputs(*dataset, indexes, View{}))
              .contiguous();
      rows->resize(static_cast<size_t>(logits.numel()));
      std::memcpy(rows->data(), logits.data_ptr<float>(), rows->size() * sizeof(float));
      return absl::OkStatus();
    };
  }
  ModelFigures figures;
  figures.architecture = model.card.architecture;
  figures.parameter_count = CountParameters(model.module);
  figures.file_bytes = model.file_bytes;
  DISTILLERY_ASSIGN_OR_RETURN(figures.metrics,
                              EvaluateModel(model.module, model.card, *dataset, teacher_logits,
                                            StopSignal::Flag()));
  return figures;
}

absl::StatusOr<ModelDescription> DescribeModel(const std::string& model_path,
                                               const std::string& card_path) {
  DISTILLERY_ASSIGN_OR_RETURN(const LoadedModel model, LoadModelWithCard(model_path, card_path));
  ModelDescription description;
  description.card = model.card;
  description.sha256 = model.sha256;
  description.file_bytes = model.file_bytes;
  description.parameter_count = CountParameters(model.module);
  for (const auto& parameter : model.module.named_parameters()) {
    description.tensors.push_back({parameter.name, parameter.value.sizes().vec(), false});
  }
  for (const auto& buffer : model.module.named_buffers()) {
    description.tensors.push_back({buffer.name, buffer.value.sizes().vec(), true});
  }
  return description;
}

class Predictor::Model {
 public:
  explicit Model(LoadedModel loaded) : loaded_(std::move(loaded)) {}

  absl::StatusOr<std::vector<float>> Probabilities(const Sample& sample) {
    std::vector<float> result;
    DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
      const c10::InferenceMode inference;
      const ImageShape& shape = loaded_.card.input_shape;
      const at::Tensor input =
          torch::tensor(sample.pixels).view({1, shape.channels, shape.height, shape.width});
      const at::Tensor output =
          at::softmax(ForwardLogits(loaded_.module, loaded_.card, input), 1).contiguous();
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
  return std::unique_ptr<Predictor>(
      new Predictor(std::make_unique<Model>(std::move(loaded))));
}

const ModelCard& Predictor::card() const { return model_->card(); }

absl::StatusOr<std::vector<float>> Predictor::Probabilities(const Sample& sample) {
  return model_->Probabilities(sample);
}

}  // namespace distillery

#include "cli/student_model.h"

#include <torch/script.h>

#include <cstring>
#include <numeric>
#include <optional>

#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/data/catalog.h"
#include "common/model/architecture.h"
#include "common/model/evaluation.h"
#include "common/model/inputs.h"
#include "common/model/model_file.h"
#include "common/model/module_weights.h"
#include "common/model/numerics.h"

namespace distillery {
namespace {

absl::StatusOr<LoadedModel> LoadWithCard(const std::string& path, const std::string& card_path) {
  std::optional<ModelCard> card;
  if (!card_path.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string json, ReadFile(card_path, 1 << 20));
    auto parsed = ParseModelCard(json);
    if (!parsed.ok()) return Annotate(parsed.status(), card_path);
    card = *std::move(parsed);
  }
  return LoadModel(path, card);
}

}  // namespace

absl::Status SaveStudent(const std::string& architecture, const std::string& card_json,
                         const Weights& weights, const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(const ModelCard card, ParseModelCard(card_json));
  DISTILLERY_ASSIGN_OR_RETURN(
      torch::jit::Module module,
      BuildArchitecture(architecture, card.input_shape, card.class_count(), /*seed=*/0));
  DISTILLERY_RETURN_IF_ERROR(LoadWeights(weights, module));
  module.eval();
  return SaveModel(path, module, card);
}

absl::StatusOr<ModelFigures> MeasureModel(const ModelQuestion& question) {
  ConfigureTorch(1);
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model,
                              LoadWithCard(question.model_path, question.card_path));
  DatasetCatalog catalog(question.data_dir);
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, catalog.Open(question.dataset));
  TeacherLogits teacher_logits;
  std::optional<LoadedModel> teacher;
  if (!question.teacher_path.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(
        teacher, LoadWithCard(question.teacher_path, question.teacher_card_path));
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

}  // namespace distillery

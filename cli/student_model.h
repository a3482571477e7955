// Models as files: from a run's weights to TorchScript, and from a file to figures.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/run/task.h"
#include "common/weights/weights.h"

namespace distillery {

// Writes the architecture with `weights` as TorchScript with its card (JSON) in eval mode.
// FAILED_PRECONDITION if the weights are of another architecture.
absl::Status SaveStudent(const std::string& architecture, const std::string& card_json,
                         const Weights& weights, const std::string& path);

struct ModelFigures {
  std::string architecture;
  int64_t parameter_count = 0;
  int64_t file_bytes = 0;
  // agreement_count is -1 without a teacher.
  EvaluationMetrics metrics;
};

struct ModelQuestion {
  std::string model_path;
  // Cards (JSON files) for models that carry none; "" otherwise.
  std::string card_path;
  DatasetReference dataset;
  std::string data_dir;
  // A TorchScript file to measure agreement with; "": none.
  std::string teacher_path;
  std::string teacher_card_path;
};

// Errors of LoadModel and DatasetCatalog; CANCELLED after a stop signal.
absl::StatusOr<ModelFigures> MeasureModel(const ModelQuestion& question);

}  // namespace distillery

// What a model file holds, how well it does, and what it says of an image.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/sample.h"
#include "common/data/dataset.h"
#include "common/model/card.h"
#include "common/run/task.h"

namespace distillery {

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

struct ModelDescription {
  ModelCard card;
  std::string sha256;
  int64_t file_bytes = 0;
  int64_t parameter_count = 0;
  struct Tensor {
    std::string name;
    std::vector<int64_t> shape;
    bool buffer = false;
  };
  std::vector<Tensor> tensors;
};

// Errors of LoadModel.
absl::StatusOr<ModelDescription> DescribeModel(const std::string& model_path,
                                               const std::string& card_path);

// A model asked about one image at a time. Threads: one.
class Predictor {
 public:
  // Errors of LoadModel.
  static absl::StatusOr<std::unique_ptr<Predictor>> Load(const std::string& model_path,
                                                         const std::string& card_path);
  ~Predictor();
  const ModelCard& card() const;
  // softmax of the logits at T = 1, one per class. REQUIRES: the sample has the card's shape.
  absl::StatusOr<std::vector<float>> Probabilities(const Sample& sample);

 private:
  // Keeps LibTorch's headers out of here.
  class Model;
  explicit Predictor(std::unique_ptr<Model> model);
  const std::unique_ptr<Model> model_;
};

}  // namespace distillery

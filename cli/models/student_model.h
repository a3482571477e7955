// What a model file holds, how well it does, and what it says of a sample.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/models/sample.h"
#include "common/data/dataset.h"
#include "common/model/card.h"
#include "common/run/task.h"

namespace distillery {

// "1234 parameters", with the number of frozen ones if there are any.
std::string DescribeParameters(int64_t count, int64_t frozen);

struct ModelFigures {
  std::string architecture;
  int64_t parameter_count = 0;
  // Those among them that training leaves alone.
  int64_t frozen_parameter_count = 0;
  int64_t file_bytes = 0;
  std::vector<std::string> class_names;
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
  // In place of teacher_path: the teacher's logits [samples, classes], known already. Not owned.
  const std::vector<float>* teacher_logits = nullptr;
};

// Errors of LoadModel, DatasetCatalog and CheckFits; INVALID_ARGUMENT for teacher_logits of another
// size; CANCELLED after a stop signal. Logits [samples, classes] go to `logits`, if it is given.
absl::StatusOr<ModelFigures> MeasureModel(const ModelQuestion& question,
                                          std::vector<float>* logits = nullptr);

// Entropy in nats of the model's softmax at T = 1 on the first `most` samples, at each of their
// positions; none for answers of another kind. Errors likewise.
absl::StatusOr<std::vector<float>> ComputeEntropies(const ModelQuestion& question, int64_t most);

struct ModelDescription {
  ModelCard card;
  std::string sha256;
  int64_t file_bytes = 0;
  int64_t parameter_count = 0;
  // Those among them that training leaves alone.
  int64_t frozen_parameter_count = 0;
  // Whether its large weights are int8.
  bool int8 = false;
  struct Tensor {
    std::string name;
    std::vector<int64_t> shape;
    bool buffer = false;
    // A parameter that training leaves alone.
    bool frozen = false;
    // The first name of the parameter, if this is a further name of tied weights; "": it is not.
    std::string tied_to;
  };
  // Parameters and buffers; of a frozen or int8 model also the constants of its code, which have no
  // names of their own.
  std::vector<Tensor> tensors;
};

// Errors of LoadModel.
absl::StatusOr<ModelDescription> DescribeModel(const std::string& model_path,
                                               const std::string& card_path);

// A model asked about one sample at a time. Threads: one.
class Predictor {
 public:
  // Errors of LoadModel.
  static absl::StatusOr<std::unique_ptr<Predictor>> Load(const std::string& model_path,
                                                         const std::string& card_path);
  ~Predictor();
  const ModelCard& card() const;
  // softmax of the logits at T = 1 [positions, classes]; of several labels their sigmoid, and of
  // values the numbers. REQUIRES: the sample has the card's inputs.
  absl::StatusOr<std::vector<float>> Answer(const Sample& sample);

 private:
  // Keeps LibTorch's headers out of here.
  class Model;
  explicit Predictor(std::unique_ptr<Model> model);
  const std::unique_ptr<Model> model_;
};

}  // namespace distillery

// The model card `distillery.json`, carried by every model file as a TorchScript extra file.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

struct ModelCard {
  // Built-in architecture, or "" for a model made elsewhere.
  std::string architecture;
  ImageShape input_shape;
  // Per channel: the model's input is (pixel - mean) / deviation, pixel in 0..1.
  std::vector<float> mean;
  std::vector<float> deviation;
  // In the order of the outputs.
  std::vector<std::string> class_names;
  // The model's outputs are softmax probabilities, not logits; their logarithm is used.
  bool outputs_probabilities = false;

  int64_t class_count() const { return static_cast<int64_t>(class_names.size()); }
};

// Readable JSON.
std::string ModelCardToJson(const ModelCard& card);
// Strict: INVALID_ARGUMENT names the missing, unknown or wrong key.
absl::StatusOr<ModelCard> ParseModelCard(const std::string& json);

}  // namespace distillery

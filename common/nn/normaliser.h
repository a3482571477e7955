// From the numbers of a model's inputs to what its forward takes.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "common/data/sample_spec.h"
#include "common/model/card.h"

namespace distillery {

// The tensor type of ModelType (common/data/numbers.h).
at::ScalarType ScalarTypeOf(const InputSpec& input);
// [rows, sizes of the input...]
std::vector<int64_t> BatchShape(const InputSpec& input, int64_t rows);

// (numbers - mean) / deviation of each channel of each input; whole numbers and bytes stay as they
// are. Threads: safe for all.
class Normaliser {
 public:
  // For tensors on `device`.
  Normaliser(const ModelCard& card, const at::Device& device);

  // One tensor for each input of the card, in its order; those of the caller stay as they are.
  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& inputs) const;

 private:
  // For each input [1, channels, 1...]; undefined where it has no channels.
  std::vector<at::Tensor> means_;
  std::vector<at::Tensor> deviations_;
};

}  // namespace distillery

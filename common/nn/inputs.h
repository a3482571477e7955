// From stored samples to a model's inputs and the hard labels of its answers.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "absl/status/statusor.h"
#include "common/data/augmentation.h"
#include "common/data/dataset.h"

namespace distillery {

struct LoadedSamples {
  // One tensor for each input taken, [rows, sizes of the input...], as numbers.h makes them: not
  // normalised.
  std::vector<at::Tensor> inputs;
  // Of classes int64 [rows, positions...], kNoLabel where there is none; else float32
  // [rows, positions..., answers].
  at::Tensor labels;
};

// Rows of `dataset` seen through `view`, as a model takes them whose card has the inputs `taken`.
// Errors as LoadNumbers.
absl::StatusOr<LoadedSamples> LoadSamples(const Dataset& dataset, const std::vector<int64_t>& rows,
                                          const View& view, const std::vector<InputSpec>& taken);
// The same with pictures in the size of the data set.
absl::StatusOr<LoadedSamples> LoadSamples(const Dataset& dataset, const std::vector<int64_t>& rows,
                                          const View& view);

// The sizes of the hard labels of `rows` samples, of which each answer has `answers` numbers.
std::vector<int64_t> LabelShape(const AnswerSpec& answer, int64_t rows, int64_t answers);
at::ScalarType LabelScalarType(const AnswerSpec& answer);

}  // namespace distillery

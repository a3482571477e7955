// From stored pixels to a model's input.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "common/data/augmentation.h"
#include "common/data/dataset.h"
#include "common/model/card.h"

namespace distillery {

// (inputs - mean) / deviation per channel; inputs [batch, channels, height, width] in 0..1.
at::Tensor Normalise(const at::Tensor& inputs, const ModelCard& card);

// Rows of `dataset` seen through `view`, as pixels in 0..1 [rows.size(), channels, height, width].
// Errors as Dataset::ReadImages.
absl::StatusOr<at::Tensor> LoadInputs(const Dataset& dataset, const std::vector<int64_t>& rows,
                                      const View& view);
// Their labels, int64 [rows.size()].
at::Tensor LoadLabels(const Dataset& dataset, const std::vector<int64_t>& rows);

}  // namespace distillery

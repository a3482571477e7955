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

// The card of a model trained on `dataset`: its shape and classes, mean and deviation of its pixels.
ModelCard CardForDataset(const Dataset& dataset, const std::string& architecture);

// INVALID_ARGUMENT if input shape or number of classes differ, naming both.
absl::Status CheckFits(const ModelCard& card, const Dataset& dataset);

// Rows of `dataset` seen through `view`, as pixels in 0..1 [rows.size(), channels, height, width].
// Errors as Dataset::ReadImages.
absl::StatusOr<at::Tensor> LoadInputs(const Dataset& dataset, const std::vector<int64_t>& rows,
                                      const View& view);
// Their labels, int64 [rows.size()].
at::Tensor LoadLabels(const Dataset& dataset, const std::vector<int64_t>& rows);

}  // namespace distillery

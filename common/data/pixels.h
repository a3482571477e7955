// Stored bytes to pixels in 0..1.
#pragma once

#include <vector>

#include "common/data/augmentation.h"
#include "common/data/dataset.h"

namespace distillery {

// Writes rows of `dataset` seen through `view`, scaled by 1 / pixel_max, to
// output [rows.size(), channels, height, width].
void LoadPixels(const Dataset& dataset, const std::vector<int64_t>& rows, const View& view,
                float* output);

}  // namespace distillery

// Stored bytes seen through a view, read from the data's files, and how bytes become pixels in
// 0..1.
#pragma once

#include <cstdint>
#include <vector>

#include "common/data/augmentation.h"
#include "common/data/dataset.h"

namespace distillery {

// Writes the records of rows of `dataset`, seen through `view`, to output [rows.size(),
// record_bytes()]. Errors as Augmentation::CheckSuits and Dataset::ReadRecords.
absl::Status LoadRecords(const Dataset& dataset, const std::vector<int64_t>& rows, const View& view,
                         uint8_t* output);

// Writes bytes [count] as float(byte) / float(pixel_max), correctly rounded, to output [count].
void ScalePixels(const uint8_t* bytes, int64_t count, int pixel_max, float* output);

}  // namespace distillery

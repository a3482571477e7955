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

// The same of a data set of pictures and of nothing else (SampleSpec::is_picture_by_class), each in
// the size of `taken` (picture_lens.h): output [rows.size(), taken.elements()]. Errors as
// PictureLens::Create too.
absl::Status LoadPictures(const Dataset& dataset, const std::vector<int64_t>& rows,
                          const View& view, const InputSpec& taken, uint8_t* output);

// Writes bytes [count] as float(byte) / float(pixel_max), correctly rounded, to output [count].
void ScalePixels(const uint8_t* bytes, int64_t count, int pixel_max, float* output);

}  // namespace distillery

// What the pixels of a query may be: looked at before it joins a batch, where one bad row would be
// everybody's.
//
// The rule, for every interface: a pixel is a number whose pixel_max stands for 1. Divided by it, it is
// finite and 0 to 1, the range that model cards are for; with `any_finite` finite alone.
//
// Threads: safe for all.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "common/data/samples.h"

namespace distillery {

// Where the caller names none.
inline double DefaultPixelMax(bool inputs_are_bytes) { return inputs_are_bytes ? 255 : 1; }

// INVALID_ARGUMENT unless `pixel_max` is finite and > 0, also as float32.
absl::Status CheckPixelMax(double pixel_max);

// Divides by pixel_max: correctly rounded, and as it is for 1. REQUIRES: CheckPixelMax(pixel_max).
void DividePixels(double pixel_max, int64_t count, float* pixels);

// pixels [rows, channels, height, width], divided already. INVALID_ARGUMENT names the first pixel that
// breaks the rule, and the way out.
absl::Status CheckPixels(const float* pixels, int64_t rows, const ImageShape& shape,
                         bool any_finite);

}  // namespace distillery

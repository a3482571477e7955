// Checks the pixels of a query before it joins a batch, where one bad row would harm everybody.
//
// The rule is the same for every interface: pixel_max is the number that stands for 1. Divided by
// it, a pixel must be finite and 0 to 1, the range for which model cards are made; with
// `any_finite` it need only be finite.
//
// Threads: safe for all.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/data/samples.h"

namespace distillery {

// The pixel_max of a caller that names none.
inline double DefaultPixelMax(bool inputs_are_bytes) { return inputs_are_bytes ? 255 : 1; }

// INVALID_ARGUMENT unless `pixel_max` is finite and > 0, also as float32.
absl::Status CheckPixelMax(double pixel_max);

// Divides the pixels by pixel_max, correctly rounded; for 1 they stay as they are.
// REQUIRES: CheckPixelMax(pixel_max) is OK.
void DividePixels(double pixel_max, int64_t count, float* pixels);

// pixels [rows, channels, height, width] of the input `name`, divided by pixel_max already.
// INVALID_ARGUMENT names the first pixel that breaks the rule, and the way out.
absl::Status CheckPixels(const float* pixels, int64_t rows, const ImageShape& shape,
                         bool any_finite, absl::string_view name = "inputs");

}  // namespace distillery

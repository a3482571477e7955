// Images to another size, with the same pixels on every machine.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/data/image.h"

namespace distillery {

// Stretches the image to height x width, each direction on its own: one that shrinks takes the mean
// of the area that each new pixel covers; one that grows goes linearly between the centres of the
// old pixels, and repeats the outermost beyond them. Whole numbers throughout, rounded once, halves
// upwards. INVALID_ARGUMENT as CheckImage, for the image and for the size wanted.
absl::StatusOr<Image> Resize(const Image& image, int64_t height, int64_t width);

// Resizes the image so that it just covers height x width with its sides in proportion, and takes
// the middle: of n rows or columns too many, n / 2 (rounded down) are cut off in front. The side
// that does not fit exactly is rounded to the nearest whole number of pixels, halves upwards.
// INVALID_ARGUMENT as Resize, also where the size between the two is too large.
absl::StatusOr<Image> ResizeAndCrop(const Image& image, int64_t height, int64_t width);

}  // namespace distillery

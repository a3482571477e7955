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

}  // namespace distillery

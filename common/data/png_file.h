// PNG files, through libpng.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/image.h"

namespace distillery {

// Grey files become images of 1 channel, all others of 3. Values of 16 bits are rounded to 8;
// transparent pixels are seen on black: value * alpha / 255, rounded. A file that states another
// gamma than sRGB's is converted to sRGB. DATA_LOSS, naming `name`, for a damaged or truncated
// file; RESOURCE_EXHAUSTED as CheckImageSize.
absl::StatusOr<Image> DecodePng(absl::string_view bytes, absl::string_view name);

// The bytes of a PNG file, the same for the same image and version of libpng and zlib.
// INVALID_ARGUMENT as CheckImage.
absl::StatusOr<std::string> EncodePng(const Image& image);

}  // namespace distillery

// PNG files, through libpng.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/image.h"

namespace distillery {

// Grey files, with alpha or without, become images of 1 channel, all others of 3: of colour or with a
// palette. Values are taken as they are stored, whatever gamma or profile the file states; those of
// 1, 2 and 4 bits are spread over 0 to 255, those of 16 become round(value * 255 / 65535). Alpha,
// also that of a palette or of one transparent colour, is rounded to 8 bits too, and goes by `alpha`.
// DATA_LOSS, naming `name`, for a damaged or truncated file; RESOURCE_EXHAUSTED as CheckImageSize.
absl::StatusOr<Image> DecodePng(absl::string_view bytes, absl::string_view name,
                                AlphaRule alpha = AlphaRule::kBlack);

// The shape that DecodePng gives, from the first 26 bytes or more. DATA_LOSS if they are no start of
// a PNG file; RESOURCE_EXHAUSTED as CheckImageSize.
absl::StatusOr<ImageShape> PngShape(absl::string_view start, absl::string_view name);

// The bytes of a PNG file, the same for the same image and version of libpng and zlib.
// INVALID_ARGUMENT as CheckImage.
absl::StatusOr<std::string> EncodePng(const Image& image);

}  // namespace distillery

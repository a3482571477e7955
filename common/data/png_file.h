// PNG files, through libpng.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/image.h"

namespace distillery {

// Grey files, with or without alpha, become images of 1 channel; all others, in colour or with a
// palette, become images of 3. Values are taken as they are stored, whatever gamma or profile the
// file states; those of 1, 2 and 4 bits are spread over 0 to 255, those of 16 become
// round(value * 255 / 65535). Alpha values, also those of a palette or of one transparent colour,
// are rounded to 8 bits too; `alpha` says what becomes of the pixels that have them. DATA_LOSS,
// naming `name`, for a damaged or truncated file; RESOURCE_EXHAUSTED as CheckImageSize.
absl::StatusOr<Image> DecodePng(absl::string_view bytes, absl::string_view name,
                                AlphaRule alpha = AlphaRule::kBlack);

// The values of a file of one for each pixel as they are stored: grey ones of 1 to 8 bits, or the
// indexes of a palette. Errors as DecodePng; INVALID_ARGUMENT for colour, alpha and 16 bits.
absl::StatusOr<Image> DecodePngValues(absl::string_view bytes, absl::string_view name);

// The shape that DecodePng gives, from at least the first 26 bytes. DATA_LOSS if no PNG file starts
// so; RESOURCE_EXHAUSTED as CheckImageSize.
absl::StatusOr<ImageShape> PngShape(absl::string_view start, absl::string_view name);

// The bytes of a PNG file, the same for the same image and version of libpng and zlib.
// INVALID_ARGUMENT as CheckImage.
absl::StatusOr<std::string> EncodePng(const Image& image);

}  // namespace distillery

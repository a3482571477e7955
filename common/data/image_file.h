// Image files: PNG, JPEG, WebP, BMP, TIFF, PGM and PPM, told apart by their first bytes, whatever
// they are called.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/image.h"

namespace distillery {

inline constexpr int64_t kMaxImageFileBytes = int64_t{64} << 20;

// Decodes a file's bytes to an image of 1 (grey, by luma) or 3 (red, green, blue) channels; 0: as
// many as the file has. Every machine gets the same pixels. `alpha` says what becomes of pixels
// that are not opaque. Messages name `name`:
//   INVALID_ARGUMENT     none of these formats, or a kind of one that is not read
//   DATA_LOSS            damaged, truncated or empty
//   RESOURCE_EXHAUSTED   more than kMaxImageFileBytes, or too many pixels (CheckImageSize)
absl::StatusOr<Image> DecodeImage(absl::string_view bytes, int64_t channels, absl::string_view name,
                                  AlphaRule alpha = AlphaRule::kBlack);

// The shape that DecodeImage gives, from the first bytes of a file. Of most files kImageStartBytes
// are enough; a JPEG with much in front of its first scan needs more, and so may a TIFF, of which
// any error may mean that. Errors as DecodeImage; DATA_LOSS if the bytes are too few.
absl::StatusOr<ImageShape> ReadImageShape(absl::string_view start, int64_t channels,
                                          absl::string_view name);
inline constexpr int64_t kImageStartBytes = 65536;

// True for names that end in one of kImageEndings, in small or capital letters.
inline constexpr const char* kImageEndings =
    ".png, .jpg, .jpeg, .jfif, .webp, .bmp, .tif, .tiff, .pgm or .ppm";
bool HasImageExtension(absl::string_view file_name);

}  // namespace distillery

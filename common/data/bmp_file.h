// BMP files without compression, by a reader of our own: Debian has no small library for them.
// Source: Microsoft, "Bitmap storage" and BITMAPINFOHEADER (wingdi.h).
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/image.h"

namespace distillery {

// Files of 8 bits with a palette of greys only become images of 1 channel; others of 8 bits, and
// those of 24 and 32, become images of 3. The fourth byte of a pixel of 32 bits has no meaning in
// such files and is not looked at. DATA_LOSS, naming `name`, for a damaged or truncated file;
// INVALID_ARGUMENT for compression and other depths; RESOURCE_EXHAUSTED as CheckImageSize.
absl::StatusOr<Image> DecodeBmp(absl::string_view bytes, absl::string_view name);

// The shape that DecodeBmp gives, from the first bytes, up to the pixels. Errors as there.
absl::StatusOr<ImageShape> BmpShape(absl::string_view start, absl::string_view name);

}  // namespace distillery

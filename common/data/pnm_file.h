// The binary PGM and PPM formats (https://netpbm.sourceforge.net/doc/pgm.html): "P5" or "P6", then
// width, height and the largest value as decimal numbers between white space and # comments, one
// white space, and the pixels row by row.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/image.h"

namespace distillery {

// P5 becomes an image of 1 channel, P6 of 3. DATA_LOSS, naming `name`, for a header that breaks off
// or a length that differs from what it says; INVALID_ARGUMENT for a largest value other than 255;
// RESOURCE_EXHAUSTED as CheckImageSize.
absl::StatusOr<Image> DecodePnm(absl::string_view bytes, absl::string_view name);

// The shape that DecodePnm gives, from the bytes of the header. Errors as there.
absl::StatusOr<ImageShape> PnmShape(absl::string_view start, absl::string_view name);

}  // namespace distillery

// WebP files, through libwebp.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/image.h"

namespace distillery {

// Lossy and lossless files become images of 3 channels: the format has no grey. `alpha` says what
// becomes of pixels that are not opaque. DATA_LOSS, naming `name`, for a damaged or truncated file;
// INVALID_ARGUMENT for an animation; RESOURCE_EXHAUSTED as CheckImageSize.
absl::StatusOr<Image> DecodeWebp(absl::string_view bytes, absl::string_view name, AlphaRule alpha);

// The shape that DecodeWebp gives, from the first bytes, up to the header of the pixels. Errors as
// there.
absl::StatusOr<ImageShape> WebpShape(absl::string_view start, absl::string_view name);

}  // namespace distillery

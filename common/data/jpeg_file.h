// JPEG files, through libjpeg-turbo.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/image.h"

namespace distillery {

// Grey files become images of 1 channel, colour files of 3, by the accurate inverse transform: the
// same pixels with and without vector instructions. DATA_LOSS, naming `name`, for a damaged or
// truncated file, also where a lenient reader would go on. If libjpeg decodes the whole picture and
// only warns, for example of bytes between two parts, that is no damage. INVALID_ARGUMENT for CMYK
// and other kinds that are not read; RESOURCE_EXHAUSTED as CheckImageSize.
absl::StatusOr<Image> DecodeJpeg(absl::string_view bytes, absl::string_view name);

// The shape that DecodeJpeg gives, from the first bytes, up to the first scan. Errors as there.
absl::StatusOr<ImageShape> JpegShape(absl::string_view start, absl::string_view name);

}  // namespace distillery

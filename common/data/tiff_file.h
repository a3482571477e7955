// TIFF files, through libtiff.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/image.h"

namespace distillery {

// The first page of a file. Grey files, with or without alpha, become images of 1 channel, those of
// red, green and blue become images of 3. Values of 16 bits become round(value * 255 / 65535).
// `alpha` says what becomes of pixels that are not opaque.
// A page with the mark of a palette but no colours is taken for grey or RGB, as libtiff does.
//   DATA_LOSS           damaged or truncated
//   INVALID_ARGUMENT    another kind, which the message names: other depths, floats, palettes,
//                       CMYK, tiles, a turned picture, premultiplied alpha, compression other than
//                       LZW, Deflate and PackBits
//   RESOURCE_EXHAUSTED  as CheckImageSize
// All name `name`.
absl::StatusOr<Image> DecodeTiff(absl::string_view bytes, absl::string_view name, AlphaRule alpha);

// The shape that DecodeTiff gives. The description of a page may lie anywhere in the file: any
// error may mean that `start` is too short. Errors as there.
absl::StatusOr<ImageShape> TiffShape(absl::string_view start, absl::string_view name);

}  // namespace distillery

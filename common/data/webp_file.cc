#include "common/data/webp_file.h"

#include <webp/decode.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

const uint8_t* WebpData(absl::string_view bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

absl::Status DamagedWebp(absl::string_view name, absl::string_view why) {
  return absl::DataLossError(absl::StrCat(name, " is damaged or cut short (WebP: ", why, ")"));
}

absl::StatusOr<WebPBitstreamFeatures> ReadWebpFeatures(absl::string_view start,
                                                       absl::string_view name) {
  WebPBitstreamFeatures features{};
  const VP8StatusCode code = WebPGetFeatures(WebpData(start), start.size(), &features);
  if (code == VP8_STATUS_UNSUPPORTED_FEATURE) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is a WebP picture of a kind that is not read; save it as a PNG"));
  }
  if (code != VP8_STATUS_OK) return DamagedWebp(name, "the header");
  if (features.has_animation != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is an animated WebP picture; save one of its frames"));
  }
  DISTILLERY_RETURN_IF_ERROR(CheckImageSize(features.height, features.width, name));
  return features;
}

}  // namespace

absl::StatusOr<ImageShape> WebpShape(absl::string_view start, absl::string_view name) {
  DISTILLERY_ASSIGN_OR_RETURN(const WebPBitstreamFeatures features, ReadWebpFeatures(start, name));
  return ImageShape{3, features.height, features.width};
}

absl::StatusOr<Image> DecodeWebp(absl::string_view bytes, absl::string_view name, AlphaRule alpha) {
  DISTILLERY_ASSIGN_OR_RETURN(const WebPBitstreamFeatures features, ReadWebpFeatures(bytes, name));
  const ImageShape shape{3, features.height, features.width};
  const bool has_alpha = features.has_alpha != 0;
  const int row_bytes = features.width * (has_alpha ? 4 : 3);
  std::vector<uint8_t> values(static_cast<size_t>(shape.height * row_bytes));
  const auto decode = has_alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (decode(WebpData(bytes), bytes.size(), values.data(), values.size(), row_bytes) == nullptr) {
    return DamagedWebp(name, "the pixels");
  }
  return has_alpha ? FromInterleavedAlpha(shape, values.data(), alpha)
                   : FromInterleaved(shape, values.data());
}

}  // namespace distillery

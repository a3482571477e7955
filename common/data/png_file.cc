#include "common/data/png_file.h"

#include <png.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// True if the chunks of the file, each a length, a type, content and a CRC, lead to the last one.
// libpng stops at the last pixel, so it would not see what is cut off behind.
bool ReachesEnd(absl::string_view bytes) {
  size_t at = 8;
  while (bytes.size() >= at + 12) {
    uint64_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = (length << 8) | static_cast<uint8_t>(bytes[at + i]);
    if (length > bytes.size() - at - 12) return false;
    if (bytes.substr(at + 4, 4) == "IEND") return true;
    at += 12 + length;
  }
  return false;
}

absl::Status Damaged(absl::string_view name, const png_image& png) {
  return absl::DataLossError(absl::StrCat(name, " is damaged (PNG: ", png.message, ")"));
}

}  // namespace

absl::StatusOr<Image> DecodePng(absl::string_view bytes, absl::string_view name) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, void (*)(png_image*)> owner(&png, png_image_free);
  if (png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()) == 0) {
    return Damaged(name, png);
  }
  DISTILLERY_RETURN_IF_ERROR(CheckImageSize(png.height, png.width, name));
  if (!ReachesEnd(bytes)) {
    return absl::DataLossError(absl::StrCat(name, " is cut short (PNG: no end chunk)"));
  }
  const ImageShape shape{(png.format & PNG_FORMAT_FLAG_COLOR) != 0 ? 3 : 1, png.height, png.width};
  png.format = shape.channels == 3 ? PNG_FORMAT_RGBA : PNG_FORMAT_GA;
  // Or libpng takes 16-bit values without a stated gamma for linear light.
  png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  const int64_t group = shape.channels + 1;
  std::vector<uint8_t> values(static_cast<size_t>(shape.height * shape.width * group));
  if (png_image_finish_read(&png, /*background=*/nullptr, values.data(), /*row_stride=*/0,
                            /*colormap=*/nullptr) == 0) {
    return Damaged(name, png);
  }
  Image image{shape, std::vector<uint8_t>(static_cast<size_t>(shape.size()))};
  const int64_t plane = shape.height * shape.width;
  for (int64_t channel = 0; channel < shape.channels; ++channel) {
    for (int64_t i = 0; i < plane; ++i) {
      const int alpha = values[i * group + shape.channels];
      image.pixels[channel * plane + i] =
          static_cast<uint8_t>((values[i * group + channel] * alpha + 127) / 255);
    }
  }
  return image;
}

absl::StatusOr<std::string> EncodePng(const Image& image) {
  DISTILLERY_RETURN_IF_ERROR(CheckImage(image));
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.shape.width);
  png.height = static_cast<png_uint_32>(image.shape.height);
  png.format = image.shape.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  const std::vector<uint8_t> values = ToInterleaved(image);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string bytes(size, '\0');
  const int written =
      png_image_write_to_memory(&png, bytes.data(), &size, /*convert_to_8_bit=*/0, values.data(),
                                /*row_stride=*/0, /*colormap=*/nullptr);
  if (written == 0) {
    return absl::InternalError(absl::StrCat("cannot write a PNG image: ", png.message));
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace distillery

#include "common/data/image.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// The value of a pixel whose alpha is not 255.
uint8_t Blend(int value, int alpha, AlphaRule rule) {
  if (rule == AlphaRule::kDrop) return static_cast<uint8_t>(value);
  const int behind = rule == AlphaRule::kWhite ? 255 * (255 - alpha) : 0;
  return static_cast<uint8_t>((value * alpha + behind + 127) / 255);
}

}  // namespace

absl::Status CheckImageSize(int64_t height, int64_t width, absl::string_view name) {
  if (height < 1 || width < 1) {
    return absl::DataLossError(absl::StrCat(name, " has no pixels: ", height, " x ", width));
  }
  if (height > kMaxImageSide || width > kMaxImageSide || height * width > kMaxImagePixels) {
    return absl::ResourceExhaustedError(absl::StrCat(name, " is ", height, " x ", width,
                                                     " pixels; at most ", kMaxImageSide,
                                                     " a side and ", kMaxImagePixels, " in all"));
  }
  return absl::OkStatus();
}

absl::Status CheckImage(const Image& image) {
  const ImageShape& shape = image.shape;
  if (shape.channels != 1 && shape.channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("an image has 1 or 3 channels, not ", shape.channels));
  }
  const absl::Status size = CheckImageSize(shape.height, shape.width, "the image");
  if (!size.ok()) return absl::InvalidArgumentError(size.message());
  if (static_cast<int64_t>(image.pixels.size()) != shape.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the image holds ", image.pixels.size(),
                                                   " values, its shape says ", shape.size()));
  }
  return absl::OkStatus();
}

Image FromInterleaved(const ImageShape& shape, const uint8_t* interleaved) {
  Image image{shape, std::vector<uint8_t>(static_cast<size_t>(shape.size()))};
  const int64_t plane = shape.height * shape.width;
  for (int64_t channel = 0; channel < shape.channels; ++channel) {
    uint8_t* const output = &image.pixels[channel * plane];
    for (int64_t i = 0; i < plane; ++i) output[i] = interleaved[i * shape.channels + channel];
  }
  return image;
}

Image FromInterleavedAlpha(const ImageShape& shape, const uint8_t* interleaved, AlphaRule rule) {
  Image image{shape, std::vector<uint8_t>(static_cast<size_t>(shape.size()))};
  const int64_t plane = shape.height * shape.width;
  const int64_t group = shape.channels + 1;
  for (int64_t channel = 0; channel < shape.channels; ++channel) {
    for (int64_t i = 0; i < plane; ++i) {
      image.pixels[channel * plane + i] =
          Blend(interleaved[i * group + channel], interleaved[i * group + shape.channels], rule);
    }
  }
  return image;
}

std::vector<uint8_t> ToInterleaved(const Image& image) {
  std::vector<uint8_t> interleaved(image.pixels.size());
  const int64_t plane = image.shape.height * image.shape.width;
  for (int64_t channel = 0; channel < image.shape.channels; ++channel) {
    const uint8_t* const input = &image.pixels[channel * plane];
    for (int64_t i = 0; i < plane; ++i) {
      interleaved[i * image.shape.channels + channel] = input[i];
    }
  }
  return interleaved;
}

Image WithChannels(Image image, int64_t channels) {
  if (channels == 0 || channels == image.shape.channels) return image;
  const int64_t plane = image.shape.height * image.shape.width;
  if (channels == 1) {
    const uint8_t* const red = image.pixels.data();
    const uint8_t* const green = red + plane;
    const uint8_t* const blue = green + plane;
    std::vector<uint8_t> luma(static_cast<size_t>(plane));
    for (int64_t i = 0; i < plane; ++i) {
      luma[i] = static_cast<uint8_t>((299 * red[i] + 587 * green[i] + 114 * blue[i] + 500) / 1000);
    }
    image.pixels = std::move(luma);
  } else {
    std::vector<uint8_t> colour;
    colour.reserve(3 * image.pixels.size());
    for (int i = 0; i < 3; ++i) {
      colour.insert(colour.end(), image.pixels.begin(), image.pixels.end());
    }
    image.pixels = std::move(colour);
  }
  image.shape.channels = channels;
  return image;
}

}  // namespace distillery

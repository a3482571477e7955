// One picture as bytes, its bounds, and how its channels change.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/data/samples.h"

namespace distillery {

struct Image {
  ImageShape shape;
  // [channels, height, width]; channels is 1 (grey) or 3 (red, green, blue).
  std::vector<uint8_t> pixels;
};

// What becomes of pixels that are not opaque:
//   kBlack  they are shown on black: value * alpha / 255, rounded
//   kWhite  they are shown on white: (value * alpha + 255 * (255 - alpha)) / 255, rounded
//   kDrop   the value is taken as it is stored, and alpha is ignored
enum class AlphaRule { kBlack, kWhite, kDrop };

inline constexpr int64_t kMaxImageSide = 65535;
inline constexpr int64_t kMaxImagePixels = int64_t{64} << 20;

// DATA_LOSS, naming `name`, for a side below 1; RESOURCE_EXHAUSTED for one above kMaxImageSide or a
// product above kMaxImagePixels. Call before anything of that size is allocated.
absl::Status CheckImageSize(int64_t height, int64_t width, absl::string_view name);

// INVALID_ARGUMENT unless the shape is one of 1 or 3 channels in bounds and holds as many pixels.
absl::Status CheckImage(const Image& image);

// Takes height * width groups of shape.channels bytes apart: [height, width, channels] to
// [channels, height, width].
Image FromInterleaved(const ImageShape& shape, const uint8_t* interleaved);
// The same with alpha behind the channels: [height, width, channels + 1], by the rule.
Image FromInterleavedAlpha(const ImageShape& shape, const uint8_t* interleaved, AlphaRule rule);
// The reverse of FromInterleaved.
std::vector<uint8_t> ToInterleaved(const Image& image);

// The image with 1 or 3 channels; 0 leaves it as it is. Colour becomes grey by its luma,
// (299 R + 587 G + 114 B) / 1000 rounded; grey becomes colour by repeating it.
// REQUIRES: image has 1 or 3 channels, channels is 0, 1 or 3.
Image WithChannels(Image image, int64_t channels);

}  // namespace distillery

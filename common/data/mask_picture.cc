#include "common/data/mask_picture.h"

#include <algorithm>
#include <cmath>

namespace distillery {

std::array<uint8_t, 3> ClassColour(int64_t label) {
  // Steps of the golden angle never come near an earlier hue soon.
  constexpr double kStep = 137.508;
  const double sixth = std::fmod(static_cast<double>(label) * kStep, 360.0) / 60.0;
  const auto part = [&](double shift) {
    const double at = std::fmod(sixth + shift, 6.0);
    const double value = std::clamp(std::abs(at - 3.0) - 1.0, 0.0, 1.0);
    return static_cast<uint8_t>(std::lround(255.0 * value));
  };
  return {part(0), part(4), part(2)};
}

Image DrawMask(const Image& picture, const std::vector<int64_t>& classes) {
  const int64_t plane = picture.shape.height * picture.shape.width;
  const bool colour = picture.shape.channels >= 3;
  Image drawn{{3, picture.shape.height, picture.shape.width}, {}};
  drawn.pixels.resize(static_cast<size_t>(3 * plane));
  for (int64_t i = 0; i < plane; ++i) {
    const int64_t label = classes[static_cast<size_t>(i)];
    const std::array<uint8_t, 3> over = ClassColour(label);
    for (int64_t c = 0; c < 3; ++c) {
      const uint8_t under = picture.pixels[static_cast<size_t>((colour ? c : 0) * plane + i)];
      drawn.pixels[static_cast<size_t>(c * plane + i)] =
          label > 0 ? static_cast<uint8_t>((under + over[static_cast<size_t>(c)] + 1) / 2) : under;
    }
  }
  return drawn;
}

}  // namespace distillery

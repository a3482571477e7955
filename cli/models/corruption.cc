#include "cli/models/corruption.h"

#include <algorithm>
#include <cmath>

#include "common/base/philox.h"

namespace distillery {
namespace {

constexpr double kTwoPi = 6.283185307179586;

// Box and Muller; Uniform is below 1, so that the logarithm is finite.
double Normal(RandomStream* stream) {
  const double radius = std::sqrt(-2 * std::log(1 - static_cast<double>(stream->Uniform())));
  return radius * std::cos(kTwoPi * static_cast<double>(stream->Uniform()));
}

void AddNoise(double deviation, RandomStream stream, const ImageShape& shape, float* pixels) {
  for (int64_t i = 0; i < shape.size(); ++i) {
    const double noisy = static_cast<double>(pixels[i]) + deviation * Normal(&stream);
    pixels[i] = static_cast<float>(std::clamp(noisy, 0.0, 1.0));
  }
}

// A plane [height, width] with 0 around it.
float PixelAt(const std::vector<float>& plane, const ImageShape& shape, int64_t y, int64_t x) {
  if (y < 0 || x < 0 || y >= shape.height || x >= shape.width) return 0;
  return plane[static_cast<size_t>(y * shape.width + x)];
}

void Shift(double widths, RandomStream stream, const ImageShape& shape, float* pixels) {
  const double angle = kTwoPi * static_cast<double>(stream.Uniform());
  const double length = widths * static_cast<double>(shape.width);
  const double down = length * std::sin(angle);
  const double right = length * std::cos(angle);
  const auto whole_down = static_cast<int64_t>(std::floor(down));
  const auto whole_right = static_cast<int64_t>(std::floor(right));
  const auto part_down = static_cast<float>(down - std::floor(down));
  const auto part_right = static_cast<float>(right - std::floor(right));
  const int64_t plane_size = shape.height * shape.width;
  for (int64_t channel = 0; channel < shape.channels; ++channel) {
    float* const out = pixels + channel * plane_size;
    const std::vector<float> plane(out, out + plane_size);
    for (int64_t y = 0; y < shape.height; ++y) {
      for (int64_t x = 0; x < shape.width; ++x) {
        const int64_t from_y = y - whole_down;
        const int64_t from_x = x - whole_right;
        const float near = (1 - part_right) * PixelAt(plane, shape, from_y, from_x) +
                           part_right * PixelAt(plane, shape, from_y, from_x - 1);
        const float far = (1 - part_right) * PixelAt(plane, shape, from_y - 1, from_x) +
                          part_right * PixelAt(plane, shape, from_y - 1, from_x - 1);
        out[y * shape.width + x] = (1 - part_down) * near + part_down * far;
      }
    }
  }
}

// One direction after the other: the Gaussian is separable.
void Blur(double widths, const ImageShape& shape, float* pixels) {
  const double deviation = widths * static_cast<double>(shape.width);
  const auto reach = static_cast<int64_t>(std::ceil(3 * deviation));
  std::vector<float> kernel;
  double sum = 0;
  for (int64_t i = -reach; i <= reach; ++i) {
    const double offset = static_cast<double>(i) / deviation;
    kernel.push_back(static_cast<float>(std::exp(-offset * offset / 2)));
    sum += static_cast<double>(kernel.back());
  }
  for (float& weight : kernel) weight = static_cast<float>(static_cast<double>(weight) / sum);
  const int64_t plane_size = shape.height * shape.width;
  for (int64_t channel = 0; channel < shape.channels; ++channel) {
    float* const out = pixels + channel * plane_size;
    for (const bool across : {true, false}) {
      const std::vector<float> plane(out, out + plane_size);
      for (int64_t y = 0; y < shape.height; ++y) {
        for (int64_t x = 0; x < shape.width; ++x) {
          float value = 0;
          for (int64_t i = -reach; i <= reach; ++i) {
            value += kernel[static_cast<size_t>(i + reach)] *
                     PixelAt(plane, shape, across ? y : y + i, across ? x + i : x);
          }
          out[y * shape.width + x] = value;
        }
      }
    }
  }
}

}  // namespace

const std::vector<Corruption>& KnownCorruptions() {
  static const auto* const known = new std::vector<Corruption>{
      {CorruptionKind::kNoise, "Gaussian noise", "deviation", {0.1, 0.2, 0.3, 0.4, 0.5}},
      {CorruptionKind::kShift, "shift", "widths", {0.04, 0.08, 0.12, 0.16, 0.2}},
      {CorruptionKind::kBlur, "blur", "widths", {0.02, 0.04, 0.06, 0.08, 0.1}}};
  return *known;
}

PixelChange MakePixelChange(CorruptionKind kind, double strength, int64_t seed) {
  return [=](int64_t stored_index, const ImageShape& shape, float* pixels) {
    const auto index = static_cast<uint64_t>(stored_index);
    switch (kind) {
      case CorruptionKind::kNoise:
        return AddNoise(strength, RandomStream(seed, "corruption-noise", index), shape, pixels);
      case CorruptionKind::kShift:
        return Shift(strength, RandomStream(seed, "corruption-shift", index), shape, pixels);
      case CorruptionKind::kBlur:
        return Blur(strength, shape, pixels);
    }
  };
}

}  // namespace distillery

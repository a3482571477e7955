// Test images spoilt in a measured way: Gaussian noise, a shift, a blur, each at five strengths
// (after Hendrycks and Dietterich 2019, "Benchmarking neural network robustness").
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/data/samples.h"

namespace distillery {

// Changes the pixels [channels, height, width], 0..1, of the image at `stored_index`.
using PixelChange =
    std::function<void(int64_t stored_index, const ImageShape& shape, float* pixels)>;

enum class CorruptionKind { kNoise, kShift, kBlur };

inline constexpr size_t kCorruptionStrengths = 5;

struct Corruption {
  CorruptionKind kind;
  // "Gaussian noise"
  std::string name;
  // What the strengths are: the deviation of the noise, of the pixels' range 0..1; the length of
  // the shift, and the deviation of the blur's Gaussian, in widths of the image.
  std::string unit;
  std::array<double, kCorruptionStrengths> strengths;
};

const std::vector<Corruption>& KnownCorruptions();

// Noise is added to each pixel and cut to 0..1. A shift goes in a direction drawn for the image, by
// bilinear interpolation; 0 is shifted in. A blur takes what lies outside as 0. All that is random
// is drawn by (seed, stored index): each model sees the same images.
PixelChange MakePixelChange(CorruptionKind kind, double strength, int64_t seed);

}  // namespace distillery

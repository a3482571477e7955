#include "cli/models/corruption.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace distillery {
namespace {

using ::testing::Each;
using ::testing::FloatNear;

const ImageShape kShape = {1, 20, 20};

std::vector<float> Spoil(CorruptionKind kind, double strength, int64_t index,
                         std::vector<float> pixels) {
  MakePixelChange(kind, strength, 1)(index, kShape, pixels.data());
  return pixels;
}

std::vector<float> Grey() { return std::vector<float>(400, 0.5F); }

// One bright pixel in the middle.
std::vector<float> Dot() {
  std::vector<float> pixels(400, 0);
  pixels[10 * 20 + 10] = 1;
  return pixels;
}

double Sum(const std::vector<float>& pixels) {
  return std::accumulate(pixels.begin(), pixels.end(), 0.0);
}

// Row and column of the centre of mass.
std::pair<double, double> Centre(const std::vector<float>& pixels) {
  double y = 0;
  double x = 0;
  for (size_t i = 0; i < pixels.size(); ++i) {
    y += pixels[i] * static_cast<double>(i / 20);
    x += pixels[i] * static_cast<double>(i % 20);
  }
  return {y / Sum(pixels), x / Sum(pixels)};
}

TEST(CorruptionTest, NoiseHasTheDeviationAskedFor) {
  const std::vector<float> noisy = Spoil(CorruptionKind::kNoise, 0.1, 7, Grey());
  double squares = 0;
  for (const float pixel : noisy) squares += (pixel - 0.5) * (pixel - 0.5);
  // 400 draws have a relative error of 1 / sqrt(800), 4 %; five of those.
  EXPECT_NEAR(std::sqrt(squares / 400), 0.1, 0.02);
  EXPECT_NEAR(Sum(noisy) / 400, 0.5, 0.025);
}

TEST(CorruptionTest, NoiseStaysInTheRangeOfPixels) {
  EXPECT_THAT(Spoil(CorruptionKind::kNoise, 5, 7, Grey()),
              Each(::testing::AllOf(::testing::Ge(0), ::testing::Le(1))));
}

TEST(CorruptionTest, EachImageIsSpoiltInItsOwnWayAndTheSameEachTime) {
  for (const CorruptionKind kind : {CorruptionKind::kNoise, CorruptionKind::kShift}) {
    EXPECT_EQ(Spoil(kind, 0.1, 7, Dot()), Spoil(kind, 0.1, 7, Dot()));
    EXPECT_NE(Spoil(kind, 0.1, 7, Dot()), Spoil(kind, 0.1, 8, Dot()));
  }
}

TEST(CorruptionTest, AShiftMovesByItsLength) {
  // 0.12 widths of 20 are 2.4 pixels; bilinear interpolation keeps mass and its centre.
  const std::vector<float> shifted = Spoil(CorruptionKind::kShift, 0.12, 3, Dot());
  EXPECT_NEAR(Sum(shifted), 1, 1e-5);
  const auto [y, x] = Centre(shifted);
  EXPECT_NEAR(std::hypot(y - 10, x - 10), 2.4, 1e-4);
}

TEST(CorruptionTest, ABlurSpreadsAndStaysInPlace) {
  // 0.05 widths: a Gaussian of deviation 1.
  const std::vector<float> blurred = Spoil(CorruptionKind::kBlur, 0.05, 3, Dot());
  EXPECT_NEAR(Sum(blurred), 1, 1e-5);
  const auto [y, x] = Centre(blurred);
  EXPECT_NEAR(y, 10, 1e-4);
  EXPECT_NEAR(x, 10, 1e-4);
  // exp(-1/2) of the middle, one pixel beside it.
  EXPECT_THAT(blurred[10 * 20 + 11] / blurred[10 * 20 + 10], FloatNear(0.60653F, 1e-4F));
  EXPECT_THAT(blurred[9 * 20 + 10] / blurred[10 * 20 + 10], FloatNear(0.60653F, 1e-4F));
}

}  // namespace
}  // namespace distillery

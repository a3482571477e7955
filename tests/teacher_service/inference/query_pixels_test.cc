#include "teacher_service/inference/query_pixels.h"

#include <cmath>
#include <limits>
#include <vector>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr ImageShape kShape = {3, 2, 4};
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();

// Two rows of 0.5, but for one pixel: row 1, channel 2, y 1, x 3.
absl::Status CheckWith(float pixel, bool any_finite = false) {
  std::vector<float> pixels(static_cast<size_t>(2 * kShape.size()), 0.5F);
  pixels.back() = pixel;
  return CheckPixels(pixels.data(), 2, kShape, any_finite);
}

TEST(QueryPixels, Fault52_AreFiniteAndInTheRangeOfTheCard) {
  const auto at = HasSubstr("inputs: the pixel at row 1, channel 2, y 1, x 3 is ");
  for (const float good : {0.0F, -0.0F, kTiny, 0.5F, std::nextafter(1.0F, 0.0F), 1.0F}) {
    EXPECT_THAT(CheckWith(good), IsOk()) << good;
  }
  for (const float bad : {-kTiny, -1.0F, std::nextafter(1.0F, 2.0F), 2.0F, 255.0F, 3e38F, -3e38F}) {
    EXPECT_THAT(CheckWith(bad),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(at, HasSubstr("pixel_max"), HasSubstr("allow_out_of_range"))))
        << bad;
    EXPECT_THAT(CheckWith(bad, /*any_finite=*/true), IsOk()) << bad;
  }
  for (const float bad : {std::nanf(""), -std::nanf(""), kInfinity, -kInfinity}) {
    for (const bool any_finite : {false, true}) {
      EXPECT_THAT(CheckWith(bad, any_finite), StatusIs(absl::StatusCode::kInvalidArgument,
                                                       AllOf(at, HasSubstr("must be finite"))))
          << bad;
    }
  }
}

TEST(QueryPixels, AreDividedByWhatStandsForOne) {
  std::vector<float> pixels = {0, 1, 16, 255};
  DividePixels(1, 4, pixels.data());
  EXPECT_EQ(pixels, (std::vector<float>{0, 1, 16, 255}));
  DividePixels(255, 4, pixels.data());
  EXPECT_EQ(pixels, (std::vector<float>{0, 1.0F / 255, 16.0F / 255, 1}));
}

TEST(QueryPixels, WhatStandsForOneIsANumberAboveZero) {
  for (const double good : {1e-30, 1.0, 16.0, 255.0, 65535.0}) {
    EXPECT_THAT(CheckPixelMax(good), IsOk());
  }
  for (const double bad : {0.0, -1.0, 1e-300, 1e300, std::nan(""), HUGE_VAL}) {
    EXPECT_THAT(CheckPixelMax(bad),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pixel_max must be")));
  }
}

}  // namespace
}  // namespace distillery

#include "common/data/whole_rotation.h"

#include <gtest/gtest.h>

#include <cmath>

namespace distillery {
namespace {

TEST(WholeRotation, IsSineAndCosineOfEveryAngle) {
  constexpr double kPi = 3.14159265358979323846;
  for (int64_t angle = -36000; angle <= 36000; ++angle) {
    const Rotation rotation = RotationOf(angle);
    const double radians = static_cast<double>(angle) * kPi / 18000;
    ASSERT_NEAR(static_cast<double>(rotation.sine) / kOneRotation, std::sin(radians), 1.5e-8);
    ASSERT_NEAR(static_cast<double>(rotation.cosine) / kOneRotation, std::cos(radians), 1.5e-8);
  }
}

TEST(WholeRotation, QuartersAreExact) {
  EXPECT_EQ(RotationOf(0).sine, 0);
  EXPECT_EQ(RotationOf(0).cosine, kOneRotation);
  EXPECT_EQ(RotationOf(9000).sine, kOneRotation);
  EXPECT_EQ(RotationOf(9000).cosine, 0);
  EXPECT_EQ(RotationOf(-18000).sine, 0);
  EXPECT_EQ(RotationOf(-18000).cosine, -kOneRotation);
}

}  // namespace
}  // namespace distillery

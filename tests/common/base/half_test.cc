#include "common/base/half.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace distillery {
namespace {

TEST(FloatToHalf, ConvertsKnownValues) {
  // IEEE 754 binary16: 1 sign, 5 exponent bits (bias 15), 10 mantissa bits.
  EXPECT_EQ(FloatToHalf(0.0F), 0x0000);
  EXPECT_EQ(FloatToHalf(-0.0F), 0x8000);
  EXPECT_EQ(FloatToHalf(1.0F), 0x3C00);
  EXPECT_EQ(FloatToHalf(-2.0F), 0xC000);
  EXPECT_EQ(FloatToHalf(0.333251953125F), 0x3555);  // 1365 * 2^-12
  EXPECT_EQ(FloatToHalf(65504.0F), 0x7BFF);         // the largest
}

TEST(FloatToHalf, RoundsTiesToEven) {
  // Between 1 and 2 the halves are 2^-10 apart, so ties are odd multiples of 2^-11.
  EXPECT_EQ(FloatToHalf(1.0F + 0x1p-11F), 0x3C00);             // down to even
  EXPECT_EQ(FloatToHalf(1.0F + 0x3p-11F), 0x3C02);             // up to even
  EXPECT_EQ(FloatToHalf(1.0F + 0x1p-11F + 0x1p-20F), 0x3C01);  // just past the tie
  // A mantissa that rounds up to 2 carries into the exponent.
  EXPECT_EQ(FloatToHalf(2.0F - 0x1p-12F), 0x4000);
}

TEST(FloatToHalf, KeepsSubnormals) {
  // Below 2^-14 the halves are multiples of 2^-24.
  EXPECT_EQ(FloatToHalf(0x1p-14F), 0x0400);  // the smallest normal half
  EXPECT_EQ(FloatToHalf(0x1p-15F), 0x0200);
  EXPECT_EQ(FloatToHalf(0x1p-24F), 0x0001);
  EXPECT_EQ(FloatToHalf(-0x1p-24F), 0x8001);
  EXPECT_EQ(FloatToHalf(0x1p-25F), 0x0000);     // a tie, down to even
  EXPECT_EQ(FloatToHalf(0x1.8p-24F), 0x0002);   // a tie, up to even
  EXPECT_EQ(FloatToHalf(0x1.01p-25F), 0x0001);  // just past the tie
  EXPECT_EQ(FloatToHalf(0x1p-26F), 0x0000);
  // The largest subnormal, and what rounds up from it to the smallest normal.
  EXPECT_EQ(FloatToHalf(1023 * 0x1p-24F), 0x03FF);
  EXPECT_EQ(FloatToHalf(1023.5F * 0x1p-24F), 0x0400);
}

TEST(FloatToHalf, SaturatesAndKeepsNaN) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(FloatToHalf(65503.9F), 0x7BFF);
  EXPECT_EQ(FloatToHalf(65519.0F), 0x7BFF);  // below the tie between 65504 and 65536
  EXPECT_EQ(FloatToHalf(65520.0F), 0x7BFF);
  EXPECT_EQ(FloatToHalf(-1e30F), 0xFBFF);
  EXPECT_EQ(FloatToHalf(infinity), 0x7BFF);
  EXPECT_EQ(FloatToHalf(-infinity), 0xFBFF);
  EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(std::nanf("")))));
  EXPECT_TRUE(std::isinf(HalfToFloat(0xFC00)));
}

TEST(HalfToFloat, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    if ((half & 0x7C00U) == 0x7C00U) continue;  // infinity saturates, NaN has many forms
    ASSERT_EQ(FloatToHalf(HalfToFloat(static_cast<uint16_t>(half))), half);
  }
}

TEST(HalfToFloat, IsWithinTwoToTheMinusElevenOfTheFloat) {
  // From 2^-14 to 65504, in steps that are no power of two.
  for (float value = 0x1p-14F; value < 65504.0F; value *= 1.0009F) {
    ASSERT_LE(std::abs(HalfToFloat(FloatToHalf(value)) - value), value * 0x1p-11F) << value;
  }
}

// The bits of a float, and of the floats next to it.
std::vector<float> Neighbours(uint32_t bits) {
  std::vector<float> floats;
  for (const uint32_t near : {bits - 1, bits, bits + 1}) {
    float value = 0;
    std::memcpy(&value, &near, sizeof(value));
    floats.push_back(value);
  }
  return floats;
}

TEST(FloatsToHalves, HasTheBitsOfOneFloatAtATime) {
  // Each half's float, the middle between it and the next half, and the floats beside them: all
  // borders of rounding, saturation, subnormals, infinity and NaN. Then one float in 4,099.
  std::vector<float> floats;
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float value = HalfToFloat(static_cast<uint16_t>(half));
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    for (const uint32_t border : {bits, bits + 0x1000U, bits | 1U}) {
      for (const float near : Neighbours(border)) floats.push_back(near);
    }
  }
  for (uint64_t bits = 0; bits <= 0xFFFFFFFFU; bits += 4099) {
    floats.push_back(Neighbours(static_cast<uint32_t>(bits))[1]);
  }
  // One byte in front: no alignment is needed.
  std::string halves(floats.size() * 2 + 1, '\0');
  FloatsToHalves(floats.data(), static_cast<int64_t>(floats.size()), &halves[1]);
  for (size_t i = 0; i < floats.size(); ++i) {
    uint16_t half = 0;
    std::memcpy(&half, &halves[1 + i * 2], sizeof(half));
    ASSERT_EQ(half, FloatToHalf(floats[i])) << floats[i];
  }
}

TEST(HalvesToFloats, HasTheBitsOfOneHalfAtATime) {
  std::string halves(1 + 0x10000 * 2, '\0');
  for (uint32_t half = 0; half < 0x10000; ++half) std::memcpy(&halves[1 + half * 2], &half, 2);
  std::vector<float> floats(0x10000);
  HalvesToFloats(&halves[1], 0x10000, floats.data());
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float expected = HalfToFloat(static_cast<uint16_t>(half));
    ASSERT_EQ(std::memcmp(&floats[half], &expected, sizeof(expected)), 0) << half;
  }
}

TEST(FloatsToHalves, TakesAnyCount) {
  // 8 at a time and the rest.
  const std::vector<float> floats(19, 1.0F);
  for (size_t count = 0; count < floats.size(); ++count) {
    std::string halves(floats.size() * 2, 'x');
    FloatsToHalves(floats.data(), static_cast<int64_t>(count), halves.data());
    std::string expected;
    for (size_t i = 0; i < count; ++i) expected += std::string("\x00\x3C", 2);
    EXPECT_EQ(halves, expected + std::string((floats.size() - count) * 2, 'x'));
    std::vector<float> back(floats.size(), -1.0F);
    HalvesToFloats(halves.data(), static_cast<int64_t>(count), back.data());
    EXPECT_EQ(std::count(back.begin(), back.end(), 1.0F), static_cast<int64_t>(count));
  }
}

}  // namespace
}  // namespace distillery

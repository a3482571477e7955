#include "teacher_service/soft_targets.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

std::vector<float> Floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

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

TEST(FloatToHalf, OverflowsToInfinityAndKeepsNaN) {
  EXPECT_EQ(FloatToHalf(65519.0F), 0x7BFF);  // below the tie between 65504 and 65536
  EXPECT_EQ(FloatToHalf(65520.0F), 0x7C00);
  EXPECT_EQ(FloatToHalf(-1e30F), 0xFC00);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::infinity()), 0x7C00);
  EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(std::nanf("")))));
}

TEST(HalfToFloat, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    if ((half & 0x7C00U) == 0x7C00U && (half & 0x3FFU) != 0) continue;  // NaN has many forms
    ASSERT_EQ(FloatToHalf(HalfToFloat(static_cast<uint16_t>(half))), half);
  }
}

TEST(HalfToFloat, IsWithinTwoToTheMinusElevenOfTheFloat) {
  // From 2^-14 to 65504, in steps that are no power of two.
  for (float value = 0x1p-14F; value < 65504.0F; value *= 1.0009F) {
    ASSERT_LE(std::abs(HalfToFloat(FloatToHalf(value)) - value), value * 0x1p-11F) << value;
  }
}

TEST(EncodeSoftTargets, LogitsAreDividedByTheTemperature) {
  const std::vector<float> logits = {4, -2, 1, 0.5F};
  SoftTargetFormat format;
  format.temperature = 4;
  EXPECT_EQ(Floats(EncodeSoftTargets(logits.data(), 2, 2, format)),
            (std::vector<float>{1, -0.5F, 0.25F, 0.125F}));
  format.temperature = 1;
  EXPECT_EQ(Floats(EncodeSoftTargets(logits.data(), 2, 2, format)), logits);
}

TEST(EncodeSoftTargets, ProbabilitiesAreTheSoftmaxAtTheTemperature) {
  // T = 2: exp(2 ln 3 / 2) = 3 against exp(0) = 1, so 3/4 and 1/4.
  const std::vector<float> logits = {2 * std::log(3.0F), 0};
  SoftTargetFormat format;
  format.temperature = 2;
  format.representation = Representation::kProbabilities;
  const std::vector<float> got = Floats(EncodeSoftTargets(logits.data(), 1, 2, format));
  EXPECT_NEAR(got[0], 0.75F, 1e-6F);
  EXPECT_NEAR(got[1], 0.25F, 1e-6F);
}

TEST(EncodeSoftTargets, LargeLogitsDoNotOverflow) {
  const std::vector<float> logits = {3e4F, 3e4F, -3e4F};
  SoftTargetFormat format;
  format.representation = Representation::kProbabilities;
  EXPECT_EQ(Floats(EncodeSoftTargets(logits.data(), 1, 3, format)),
            (std::vector<float>{0.5F, 0.5F, 0}));
}

TEST(EncodeSoftTargets, HalvesAreLittleEndianRowMajor) {
  const std::vector<float> logits = {1, -2};  // 0x3C00, 0xC000
  SoftTargetFormat format;
  format.encoding = Encoding::kFloat16;
  EXPECT_EQ(EncodeSoftTargets(logits.data(), 2, 1, format), std::string("\x00\x3C\x00\xC0", 4));
}

TEST(SoftTargetFormat, AcceptsEveryUsefulTemperature) {
  for (const double temperature : {1e-3, 0.5, 1.0, 20.0, 1e6}) {
    SoftTargetFormat format;
    format.temperature = temperature;
    EXPECT_THAT(format.Validate(), IsOk()) << temperature;
  }
}

TEST(SoftTargetFormat, RefusesTemperaturesThatAreNotPositiveFloats) {
  // 1e-300 is > 0, but 0 as the float32 that the logits are divided by; 1e300 is infinity.
  for (const double temperature :
       {0.0, -0.0, -1.0, std::nan(""), HUGE_VAL, -HUGE_VAL, 1e-300, 1e300}) {
    SoftTargetFormat format;
    format.temperature = temperature;
    EXPECT_THAT(format.Validate(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("temperature")))
        << temperature;
  }
}

}  // namespace
}  // namespace distillery

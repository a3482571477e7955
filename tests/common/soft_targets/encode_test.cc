#include "common/soft_targets/encode.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace distillery {
namespace {

std::vector<float> Floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(EncodeSoftTargets, LogitsAreDividedByTheTemperature) {
  const std::vector<float> logits = {4, -2, 1, 0.5F};
  SoftTargetFormat format;
  format.temperature = 4;
  EXPECT_EQ(Floats(EncodeSoftTargets(logits.data(), 2, 2, format).values),
            (std::vector<float>{1, -0.5F, 0.25F, 0.125F}));
  format.temperature = 1;
  EXPECT_EQ(Floats(EncodeSoftTargets(logits.data(), 2, 2, format).values), logits);
}

TEST(EncodeSoftTargets, ProbabilitiesAreTheSoftmaxAtTheTemperature) {
  // T = 2: exp(2 ln 3 / 2) = 3 against exp(0) = 1, so 3/4 and 1/4.
  const std::vector<float> logits = {2 * std::log(3.0F), 0};
  SoftTargetFormat format;
  format.temperature = 2;
  format.representation = Representation::kProbabilities;
  const std::vector<float> got = Floats(EncodeSoftTargets(logits.data(), 1, 2, format).values);
  EXPECT_NEAR(got[0], 0.75F, 1e-6F);
  EXPECT_NEAR(got[1], 0.25F, 1e-6F);
}

TEST(EncodeSoftTargets, LargeLogitsDoNotOverflow) {
  const std::vector<float> logits = {3e4F, 3e4F, -3e4F};
  SoftTargetFormat format;
  format.representation = Representation::kProbabilities;
  EXPECT_EQ(Floats(EncodeSoftTargets(logits.data(), 1, 3, format).values),
            (std::vector<float>{0.5F, 0.5F, 0}));
}

TEST(EncodeSoftTargets, HalvesAreLittleEndianRowMajor) {
  const std::vector<float> logits = {1, -2};  // 0x3C00, 0xC000
  SoftTargetFormat format;
  format.encoding = Encoding::kFloat16;
  EXPECT_EQ(EncodeSoftTargets(logits.data(), 2, 1, format).values, std::string("\x00\x3C\x00\xC0", 4));
}

}  // namespace
}  // namespace distillery

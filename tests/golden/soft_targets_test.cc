// EncodeSoftTargets against PyTorch's softmax.
#include "common/soft_targets/encode.h"

#include <cmath>
#include <cstring>

#include "common/soft_targets/half.h"
#include "tests/golden/golden_file.h"

namespace distillery {
namespace {

std::vector<float> TeacherLogits(const nlohmann::json& golden) {
  const std::vector<double> values = Flatten(golden.at("teacher_logits"));
  return {values.begin(), values.end()};
}

TEST(GoldenSoftTargets, ProbabilitiesEqualPyTorchsSoftmax) {
  const nlohmann::json golden = ReadGolden("distillation_loss.json");
  const std::vector<float> logits = TeacherLogits(golden);
  ASSERT_EQ(golden.at("soft_targets").size(), 4U);
  for (const nlohmann::json& one : golden.at("soft_targets")) {
    SoftTargetFormat format;
    format.temperature = one.at("temperature").get<double>();
    format.representation = Representation::kProbabilities;
    const std::string bytes = EncodeSoftTargets(logits.data(), 4, 5, format).values;
    const std::vector<double> expected = Flatten(one.at("probabilities"));
    ASSERT_EQ(bytes.size(), expected.size() * sizeof(float));
    for (size_t i = 0; i < expected.size(); ++i) {
      float got = 0;
      std::memcpy(&got, bytes.data() + i * sizeof(float), sizeof(float));
      // exp magnifies the rounding of z/T by |z/T|, up to 27.5 here.
      EXPECT_NEAR(got, expected[i], 2e-6 * expected[i]) << "T " << format.temperature << ", " << i;
    }
  }
}

TEST(GoldenSoftTargets, HalfProbabilitiesAreWithinTheirBound) {
  const nlohmann::json golden = ReadGolden("distillation_loss.json");
  const std::vector<float> logits = TeacherLogits(golden);
  for (const nlohmann::json& one : golden.at("soft_targets")) {
    SoftTargetFormat format;
    format.temperature = one.at("temperature").get<double>();
    format.representation = Representation::kProbabilities;
    format.encoding = Encoding::kFloat16;
    const std::string bytes = EncodeSoftTargets(logits.data(), 4, 5, format).values;
    const std::vector<double> expected = Flatten(one.at("probabilities"));
    ASSERT_EQ(bytes.size(), expected.size() * 2);
    for (size_t i = 0; i < expected.size(); ++i) {
      uint16_t half = 0;
      std::memcpy(&half, bytes.data() + i * 2, 2);
      // 2^-11 relative in range (from 2^-14), half of 2^-24 absolute below it.
      EXPECT_NEAR(HalfToFloat(half), expected[i], 0x1.01p-11 * expected[i] + 0x1.01p-25);
    }
  }
}

}  // namespace
}  // namespace distillery

// EncodeSoftTargets against PyTorch's softmax.
#include <cmath>
#include <cstring>

#include "common/base/half.h"
#include "common/soft_targets/decode.h"
#include "common/soft_targets/encode.h"
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

TEST(GoldenSoftTargets, TopKIsPyTorchs) {
  const nlohmann::json golden = ReadGolden("top_k_loss.json");
  const std::vector<float> logits = TeacherLogits(golden);
  for (const nlohmann::json& one : golden.at("targets")) {
    SoftTargetFormat format;
    format.temperature = one.at("temperature").get<double>();
    format.encoding = Encoding::kTopK;
    format.top_k = one.at("k").get<int64_t>();
    SCOPED_TRACE(::testing::Message() << "T " << format.temperature << ", k " << format.top_k);
    const EncodedRows encoded = EncodeSoftTargets(logits.data(), 4, 10, format);
    SoftTargetRows rows;
    ASSERT_TRUE(AppendDecoded(EncodedView(encoded), 4, 10, format, &rows).ok());
    const std::vector<double> indexes = Flatten(one.at("class_indexes"));
    EXPECT_EQ(rows.class_indexes, std::vector<int32_t>(indexes.begin(), indexes.end()));
    const auto check = [](const std::vector<float>& got, const std::vector<double>& expected) {
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        // z/T in float32 may move a number that lies between two halves to the other one.
        EXPECT_NEAR(got[i], expected[i], 0x1p-10 * expected[i] + 0x1p-24) << i;
      }
    };
    check(rows.probabilities, Flatten(one.at("probabilities")));
    check(rows.tail_mass, Flatten(one.at("tail_mass")));
  }
}

}  // namespace
}  // namespace distillery

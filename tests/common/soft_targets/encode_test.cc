#include "common/soft_targets/encode.h"

#include <algorithm>
#include <cmath>

#include "common/base/half.h"
#include "gtest/gtest.h"
#include "tests/common/soft_targets/random_rows.h"

namespace distillery {
namespace {

std::vector<float> Floats(const std::string& bytes) { return Elements<float>(bytes); }

SoftTargetFormat Int8() {
  SoftTargetFormat format;
  format.encoding = Encoding::kInt8;
  return format;
}

SoftTargetFormat TopK(int64_t k) {
  SoftTargetFormat format;
  format.encoding = Encoding::kTopK;
  format.top_k = k;
  return format;
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
  EXPECT_EQ(EncodeSoftTargets(logits.data(), 2, 1, format).values,
            std::string("\x00\x3C\x00\xC0", 4));
}

TEST(EncodeSoftTargets, KeepsTheBitsOfOneDivisionPerLogitAndOneSumPerRow) {
  for (const int64_t classes : {1, 10, 1000}) {
    const std::vector<float> logits = RandomLogits(7, classes, 30);
    for (const double temperature : {1.0, 0.3, 4.0, 20.0}) {
      SoftTargetFormat format;
      format.temperature = temperature;
      std::vector<float> expected;
      for (const float logit : logits) expected.push_back(logit / static_cast<float>(temperature));
      EXPECT_EQ(Floats(EncodeSoftTargets(logits.data(), 7, classes, format).values), expected);

      for (auto row = expected.begin(); row != expected.end(); row += classes) {
        const double largest = *std::max_element(row, row + classes);
        double sum = 0;
        for (auto value = row; value != row + classes; ++value) sum += std::exp(*value - largest);
        for (auto value = row; value != row + classes; ++value) {
          *value = static_cast<float>(std::exp(*value - largest) / sum);
        }
      }
      format.representation = Representation::kProbabilities;
      EXPECT_EQ(Floats(EncodeSoftTargets(logits.data(), 7, classes, format).values), expected);
    }
  }
}

TEST(EncodeSoftTargets, Int8IsTheNearestMultipleOfTheRowsScale) {
  // The largest magnitudes are 127 and 63.5, so the scales are 1 and 1/2; ties go to even.
  const std::vector<float> logits = {127, -64.4F, 0.4F, 2.5F, -3.5F, 0, -63.5F, 1, 1.2F, 1.3F};
  const EncodedRows rows = EncodeSoftTargets(logits.data(), 2, 5, Int8());
  EXPECT_EQ(Elements<int8_t>(rows.values),
            (std::vector<int8_t>{127, -64, 0, 2, -4, 0, -127, 2, 2, 3}));
  EXPECT_EQ(Floats(rows.row_scales), (std::vector<float>{1, 0.5F}));
}

TEST(EncodeSoftTargets, Int8DividesByTheTemperatureFirst) {
  const std::vector<float> logits = {254, -127};
  SoftTargetFormat format = Int8();
  format.temperature = 2;
  const EncodedRows rows = EncodeSoftTargets(logits.data(), 1, 2, format);
  EXPECT_EQ(Elements<int8_t>(rows.values), (std::vector<int8_t>{127, -64}));  // 127, -63.5
  EXPECT_EQ(Floats(rows.row_scales), std::vector<float>{1});
}

TEST(EncodeSoftTargets, Int8RowOfZerosHasScaleZero) {
  const std::vector<float> logits = {0, -0.0F, 0};
  const EncodedRows rows = EncodeSoftTargets(logits.data(), 1, 3, Int8());
  EXPECT_EQ(rows.values, std::string(3, '\0'));
  EXPECT_EQ(rows.row_scales, std::string(4, '\0'));
}

TEST(EncodeSoftTargets, TopKHoldsTheLargestAndTheMassOfTheOthers) {
  // exp: 2, 8, 2, 4, of 16.
  const std::vector<float> logits = {std::log(2.0F), std::log(8.0F), std::log(2.0F),
                                     std::log(4.0F)};
  const EncodedRows rows = EncodeSoftTargets(logits.data(), 1, 4, TopK(2));
  EXPECT_EQ(Elements<uint16_t>(rows.values), (std::vector<uint16_t>{0x3800, 0x3400}));  // 1/2, 1/4
  EXPECT_EQ(Elements<int16_t>(rows.class_indexes), (std::vector<int16_t>{1, 3}));
  EXPECT_EQ(Elements<uint16_t>(rows.tail_mass), (std::vector<uint16_t>{0x3400}));  // 1/4
  EXPECT_EQ(rows.row_scales, "");
}

TEST(EncodeSoftTargets, TopKIsTheSameForEitherRepresentation) {
  const std::vector<float> logits = RandomLogits(5, 100, 10);
  SoftTargetFormat format = TopK(7);
  format.temperature = 3;
  const EncodedRows rows = EncodeSoftTargets(logits.data(), 5, 100, format);
  format.representation = Representation::kProbabilities;
  const EncodedRows others = EncodeSoftTargets(logits.data(), 5, 100, format);
  EXPECT_EQ(rows.values, others.values);
  EXPECT_EQ(rows.class_indexes, others.class_indexes);
  EXPECT_EQ(rows.tail_mass, others.tail_mass);
}

TEST(EncodeSoftTargets, OfEqualClassesTheLowerOneIsInTheTopK) {
  // 0 and -0 are equal too.
  const std::vector<float> logits = {-1, -0.0F, 3, 0, 3, 0, 3};
  EXPECT_EQ(Elements<int16_t>(EncodeSoftTargets(logits.data(), 1, 7, TopK(5)).class_indexes),
            (std::vector<int16_t>{2, 4, 6, 1, 3}));
}

TEST(EncodeSoftTargets, ASmallTailIsNotLost) {
  // 999 classes of exp(-15) each: 999 * 3.06e-7 = 3.055e-4 of a sum of 1.0003055.
  std::vector<float> logits(1000, -15);
  logits[500] = 0;
  const EncodedRows rows = EncodeSoftTargets(logits.data(), 1, 1000, TopK(1));
  const double others = 999 * std::exp(-15.0);
  const double tail = HalfToFloat(Elements<uint16_t>(rows.tail_mass)[0]);
  EXPECT_NEAR(tail, others / (1 + others), tail * 0x1p-11);
  // And one of them alone is 5 times the smallest half.
  const EncodedRows most = EncodeSoftTargets(logits.data(), 1, 1000, TopK(999));
  EXPECT_EQ(Elements<uint16_t>(most.tail_mass)[0], 5);
}

TEST(EncodeSoftTargets, TheTailOfAllClassesIsNothing) {
  const std::vector<float> logits = {1, 2, 3};
  const EncodedRows rows = EncodeSoftTargets(logits.data(), 1, 3, TopK(3));
  EXPECT_EQ(Elements<int16_t>(rows.class_indexes), (std::vector<int16_t>{2, 1, 0}));
  EXPECT_EQ(rows.tail_mass, std::string(2, '\0'));
}

TEST(EncodeSoftTargets, ClassIndexesHaveTheTypeThatTheLastClassNeeds) {
  std::vector<float> logits(32768, 0);
  logits[32766] = 1;
  EXPECT_EQ(Elements<int16_t>(EncodeSoftTargets(logits.data(), 1, 32767, TopK(1)).class_indexes),
            std::vector<int16_t>{32766});
  logits[32767] = 2;
  EXPECT_EQ(Elements<int32_t>(EncodeSoftTargets(logits.data(), 1, 32768, TopK(2)).class_indexes),
            (std::vector<int32_t>{32767, 32766}));
}

TEST(EncodeSoftTargets, NoneIsNothing) {
  const std::vector<float> logits = {1, 2};
  SoftTargetFormat format;
  format.representation = Representation::kNone;
  const EncodedRows rows = EncodeSoftTargets(logits.data(), 1, 2, format);
  EXPECT_EQ(rows.values + rows.row_scales + rows.class_indexes + rows.tail_mass, "");
  EncodeSoftTargets(logits.data(), 1, 2, format, EncodedBuffers{});
}

TEST(EncodeSoftTargets, WritesToTheCallersMemoryWithoutAlignment) {
  const std::vector<float> logits = RandomLogits(3, 21, 10);
  for (SoftTargetFormat format : {SoftTargetFormat{}, Int8(), TopK(5)}) {
    format.temperature = 2;
    const EncodedSizes sizes = format.SizesOf(3, 21);
    // One byte before and behind each tensor, which must stay.
    std::string memory[4];
    size_t at = 0;
    for (const int64_t size :
         {sizes.values, sizes.row_scales, sizes.class_indexes, sizes.tail_mass}) {
      memory[at++] = std::string(static_cast<size_t>(size) + 2, 'x');
    }
    EncodeSoftTargets(logits.data(), 3, 21, format,
                      {&memory[0][1], &memory[1][1], &memory[2][1], &memory[3][1]});
    const EncodedRows rows = EncodeSoftTargets(logits.data(), 3, 21, format);
    EXPECT_EQ(memory[0], "x" + rows.values + "x");
    EXPECT_EQ(memory[1], "x" + rows.row_scales + "x");
    EXPECT_EQ(memory[2], "x" + rows.class_indexes + "x");
    EXPECT_EQ(memory[3], "x" + rows.tail_mass + "x");
  }
}

}  // namespace
}  // namespace distillery

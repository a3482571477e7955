#include "teacher_service/inference/sent_numbers.h"

#include <cmath>
#include <cstring>

#include "common/base/half.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const InputSpec kSentFeatures = {"features", ElementType::kFloat16, {3}, 0, 0};
const InputSpec kSentTokens = {"tokens", ElementType::kInt32, {3}, 0, 100};
const InputSpec kSentPicture = {"image", ElementType::kUInt8, {1, 1, 3}, 16, 0};

template <typename To, typename From>
std::vector<To> ReadSent(const InputSpec& input, ElementType type, const std::vector<From>& numbers,
                         double pixel_max = 0) {
  // From an odd address: the bytes need no alignment.
  std::string bytes(1 + numbers.size() * sizeof(From), 'x');
  std::memcpy(&bytes[1], numbers.data(), bytes.size() - 1);
  SentInput sent;
  sent.type = type;
  sent.bytes = absl::string_view(bytes).substr(1);
  SentInputs inputs;
  inputs.Add(input, sent, pixel_max);
  const auto* const read = static_cast<const To*>(inputs.columns()[0]);
  return {read, read + numbers.size()};
}

TEST(SentNumbers, FloatsAreTheSameNumbers) {
  EXPECT_THAT(
      (ReadSent<float, float>(kSentFeatures, ElementType::kFloat32, {-0.1F, 3e38F, 1e-45F})),
      ElementsAre(-0.1F, 3e38F, 1e-45F));
  EXPECT_THAT((ReadSent<float, double>(kSentFeatures, ElementType::kFloat64, {0.1, 2, -3})),
              ElementsAre(0.1F, 2, -3));
  EXPECT_THAT((ReadSent<float, uint16_t>(kSentFeatures, ElementType::kFloat16,
                                         {FloatToHalf(0.5F), FloatToHalf(-2), FloatToHalf(65504)})),
              ElementsAre(0.5F, -2, 65504));
  // The upper halves of 1, -2 and the largest float of them.
  EXPECT_THAT(
      (ReadSent<float, uint16_t>(kSentFeatures, ElementType::kBFloat16, {0x3F80, 0xC000, 0x7F7F})),
      ElementsAre(1, -2, 0x1.FEp127F));
  EXPECT_THAT((ReadSent<float, uint8_t>(kSentFeatures, ElementType::kUInt8, {0, 7, 255})),
              ElementsAre(0, 7, 255));
}

TEST(SentNumbers, WholeNumbersAreTheSameNumbers) {
  const int64_t large = int64_t{1} << 60;
  EXPECT_THAT((ReadSent<int64_t, int64_t>(kSentTokens, ElementType::kInt64, {-1, large, 3})),
              ElementsAre(-1, large, 3));
  EXPECT_THAT((ReadSent<int64_t, int32_t>(kSentTokens, ElementType::kInt32, {-1, INT32_MAX, 3})),
              ElementsAre(-1, INT32_MAX, 3));
  EXPECT_THAT((ReadSent<int64_t, uint8_t>(kSentTokens, ElementType::kUInt8, {0, 7, 255})),
              ElementsAre(0, 7, 255));
}

TEST(SentNumbers, OnlyPixelsAreDivided) {
  EXPECT_THAT((ReadSent<float, uint8_t>(kSentPicture, ElementType::kUInt8, {0, 51, 255})),
              ElementsAre(0, 51.0F / 255, 1));
  EXPECT_THAT(
      (ReadSent<float, uint8_t>(kSentPicture, ElementType::kUInt8, {0, 4, 16}, /*pixel_max=*/16)),
      ElementsAre(0, 0.25F, 1));
  EXPECT_THAT(
      (ReadSent<float, float>(kSentFeatures, ElementType::kFloat32, {1, 2, 3}, /*pixel_max=*/16)),
      ElementsAre(1, 2, 3));
}

TEST(SentNumbers, TypesThatLoseSomethingAreNotTaken) {
  EXPECT_THAT(SentTypes(kSentTokens),
              ElementsAre(ElementType::kInt64, ElementType::kInt32, ElementType::kUInt8));
  EXPECT_FALSE(TakesType(kSentTokens, ElementType::kFloat32));
  EXPECT_FALSE(TakesType(kSentFeatures, ElementType::kInt64));
  EXPECT_FALSE(TakesType(kSentPicture, ElementType::kInt32));
  EXPECT_TRUE(TakesType(kSentPicture, ElementType::kUInt8));
}

TEST(SentNumbers, APixelMaxIsForPictures) {
  SampleSpec table;
  table.inputs = {kSentFeatures};
  EXPECT_THAT(CheckGivenPixelMax(table, 0), IsOk());
  EXPECT_THAT(CheckGivenPixelMax(table, 255),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("features float16 [3]")));
  EXPECT_THAT(CheckGivenPixelMax(SampleSpec::Pictures({1, 8, 8}, 255), 16), IsOk());
  EXPECT_THAT(CheckGivenPixelMax(SampleSpec::Pictures({1, 8, 8}, 255), std::nan("")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pixel_max must be")));
}

}  // namespace
}  // namespace distillery

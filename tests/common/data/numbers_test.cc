#include "common/data/numbers.h"

#include <cmath>
#include <cstring>

#include "common/base/half.h"
#include "common/data/input_moments.h"
#include "tests/common/data/records.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
void Append(const std::vector<T>& numbers, std::vector<uint8_t>* record) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(numbers.data());
  record->insert(record->end(), bytes, bytes + numbers.size() * sizeof(T));
}

// Four samples, alike in both splits: sample i has the features (i, 2 i), the tokens (i, 7), the
// mask (1, 0), the halves (i / 2), and a label for each token, of which the second does not count.
StoredSamples Mixed() {
  StoredSamples samples;
  samples.name = "mixed";
  samples.class_names = {"a", "b", "c", "d"};
  samples.spec.inputs = {{"features", ElementType::kFloat32, {2}, 0, 0},
                         {"tokens", ElementType::kInt32, {2}, 0, 8},
                         {"mask", ElementType::kUInt8, {2}, 0, 0},
                         {"halves", ElementType::kFloat16, {1, 1}, 0, 0}};
  samples.spec.answer.positions = {2};
  for (int i = 0; i < 4; ++i) {
    Append<float>({static_cast<float>(i), 2 * static_cast<float>(i)}, &samples.records);
    Append<int32_t>({i, 7}, &samples.records);
    Append<uint8_t>({1, 0}, &samples.records);
    Append<uint16_t>({FloatToHalf(static_cast<float>(i) / 2)}, &samples.records);
    Append<int32_t>({i, kNoLabel}, &samples.records);
    samples.labels.push_back(0);
  }
  samples.train = IndexList::Range(0, 4);
  samples.test = IndexList::Range(0, 4);
  return samples;
}

TEST(Numbers, AreThoseOfTheRecordsInTheTypesThatModelsTake) {
  EXPECT_THAT(CheckSamples(Mixed()), IsOk());
  const auto dataset = OpenTrain(Mixed());
  const std::vector<int64_t> rows = {2, 0};
  std::vector<float> features(4);
  std::vector<int64_t> tokens(4);
  std::vector<uint8_t> mask(4);
  std::vector<float> halves(2);
  std::vector<int64_t> labels(4);
  ASSERT_THAT(
      LoadNumbers(*dataset, rows, View{},
                  {{features.data(), tokens.data(), mask.data(), halves.data()}, labels.data()}),
      IsOk());
  const int64_t first = dataset->StoredIndex(2);
  const int64_t second = dataset->StoredIndex(0);
  EXPECT_THAT(features, ElementsAre(first, 2 * first, second, 2 * second));
  EXPECT_THAT(tokens, ElementsAre(first, 7, second, 7));
  EXPECT_THAT(mask, ElementsAre(1, 0, 1, 0));
  EXPECT_THAT(halves, ElementsAre(static_cast<float>(first) / 2, static_cast<float>(second) / 2));
  EXPECT_THAT(labels, ElementsAre(first, kNoLabel, second, kNoLabel));
}

TEST(Numbers, AViewIsForPictures) {
  const auto dataset = OpenTrain(Mixed());
  View view;
  ASSERT_OK_AND_ASSIGN(view.augmentation, Augmentation::Parse("flip"));
  EXPECT_THAT(LoadNumbers(*dataset, {0}, view, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("augmentation flip is for pictures; data set mixed is features")));
}

TEST(Numbers, ColumnsHaveMomentsAndWholeNumbersHaveNone) {
  ASSERT_OK_AND_ASSIGN(const std::vector<Moments> moments, InputMoments(*OpenTrain(Mixed())));
  // Of 0, 1, 2 and 3: mean 3/2, variance 5/4.
  ASSERT_EQ(moments.size(), 3);
  EXPECT_FLOAT_EQ(moments[0].mean, 1.5F);
  EXPECT_FLOAT_EQ(moments[0].deviation, std::sqrt(1.25F));
  EXPECT_FLOAT_EQ(moments[1].mean, 3);
  EXPECT_FLOAT_EQ(moments[1].deviation, std::sqrt(5.0F));
  EXPECT_FLOAT_EQ(moments[2].mean, 0.75F);
  float numbers[] = {1.5F, 4, 3.5F, 3};
  const float mean[] = {1.5F, 3};
  const float deviation[] = {2, 0.5F};
  Normalise(Mixed().spec.inputs[0], mean, deviation, 2, numbers);
  EXPECT_THAT(numbers, ElementsAre(0, 2, 1, 0));
}

// Their squares are 1.6e15, of which a double holds no more than quarters.
TEST(Numbers, NumbersFarFromZeroHaveTheDeviationOfTheirDifferences) {
  StoredSamples samples = Mixed();
  samples.spec.inputs = {{"features", ElementType::kFloat32, {1}, 0, 0}};
  samples.spec.answer = {};
  samples.records.clear();
  constexpr float kFar = 4e7F;  // float32 holds every fourth number there
  for (const float i : {0.0F, 4.0F, 8.0F, 12.0F}) Append<float>({kFar + i}, &samples.records);
  ASSERT_OK_AND_ASSIGN(const std::vector<Moments> moments, InputMoments(*OpenTrain(samples)));
  EXPECT_FLOAT_EQ(moments[0].mean, kFar + 8);  // 6 is rounded to it
  EXPECT_FLOAT_EQ(moments[0].deviation, std::sqrt(20.0F));
}

TEST(Numbers, EveryByteOfARecordIsInTheDigestAndItsFormToo) {
  const std::string digest = OpenTrain(Mixed())->digest();
  EXPECT_EQ(OpenTrain(Mixed())->digest(), digest);
  const auto differs = [&](const std::function<void(StoredSamples&)>& change) {
    StoredSamples samples = Mixed();
    change(samples);
    return OpenTrain(std::move(samples))->digest() != digest;
  };
  const size_t bytes = Mixed().records.size();
  for (size_t i = 0; i < bytes; ++i) {
    EXPECT_TRUE(differs([&](StoredSamples& s) { s.records[i] ^= 1; })) << i;
  }
  EXPECT_TRUE(differs([](StoredSamples& s) { s.spec.inputs[1].vocabulary = 9; }));
  EXPECT_TRUE(differs([](StoredSamples& s) { s.spec.inputs[0].name = "columns"; }));
  EXPECT_TRUE(differs([](StoredSamples& s) {
    s.spec.inputs[2].type = ElementType::kUInt8;
    s.spec.inputs[2].shape = {1, 2};
  }));
}

}  // namespace
}  // namespace distillery

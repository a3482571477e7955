#include "cli/models/sample_text.h"

#include <gmock/gmock.h>

#include "common/data/byte_tokens.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A sample of one input, and without a label.
Sample Of(InputSpec input, InputNumbers numbers) {
  Sample sample;
  sample.spec.inputs = {std::move(input)};
  sample.inputs = {std::move(numbers)};
  return sample;
}

std::vector<int64_t> Tokens(const std::string& text, size_t length) {
  std::vector<int64_t> tokens(length, kPadding);
  for (size_t i = 0; i < text.size(); ++i) tokens[i] = TokenOf(text[i]);
  return tokens;
}

Sample TextOf(const std::string& text, size_t length) {
  return Of({"tokens", ElementType::kInt64, {static_cast<int64_t>(length)}, 0, kByteVocabulary},
            Tokens(text, length));
}

TEST(SampleText, ATableRowNamesItsFeatures) {
  Sample row = Of({"features", ElementType::kFloat32, {3}, 0, 0}, std::vector<float>{3, 0.5F, 1});
  EXPECT_EQ(DescribeInputs(row, /*feature_lines=*/false), "features: 0 = 3, 1 = 0.5, 2 = 1\n");
  row.feature_names = {"age", "weight", "colour=red"};
  EXPECT_EQ(DescribeInputs(row, /*feature_lines=*/false),
            "features: age = 3, weight = 0.5, colour=red = 1\n");
  EXPECT_EQ(DescribeInputs(row, /*feature_lines=*/true),
            "features:\n  age = 3\n  weight = 0.5\n  colour=red = 1\n");
  EXPECT_EQ(DescribeInputs(row, /*feature_lines=*/false, {/*features=*/2}),
            "features: age = 3, weight = 0.5 ... and 1 more\n");
}

TEST(SampleText, ATextIsReadAndWhatIsNoLetterIsEscaped) {
  EXPECT_EQ(DescribeInputs(TextOf("To be,\nor \x1b[2J\xff", 20), false),
            "tokens: \"To be,\\nor \\x1b[2J\\xff\"\n");
  EXPECT_EQ(DescribeInputs(TextOf("caf\xc3\xa9", 8), false), "tokens: \"caf\xc3\xa9\"\n");
  SampleTextLimits limits;
  limits.text = 4;
  EXPECT_EQ(DescribeInputs(TextOf("To be, or", 20), false, limits),
            "tokens: \"To b ... and 5 more\"\n");
}

TEST(SampleText, OtherTokensAreNumbersAndAMaskIsCounted) {
  EXPECT_EQ(
      DescribeInputs(
          Of({"tokens", ElementType::kInt32, {3}, 0, 20}, std::vector<int64_t>{19, 0, 7}), false),
      "tokens: 19 0 7\n");
  EXPECT_EQ(
      DescribeInputs(Of({"mask", ElementType::kUInt8, {4}, 0, 0}, std::vector<uint8_t>{1, 1, 0, 1}),
                     false),
      "mask: 3 of 4 are 1\n");
}

TEST(SampleText, ASeriesIsItsLengthAndRangeAndAPictureItsSizes) {
  EXPECT_EQ(DescribeInputs(Of({"inputs", ElementType::kFloat32, {2, 2}, 0, 0},
                              std::vector<float>{-1, 0, 2, 3}),
                           false),
            "inputs: 2 x 2 numbers, -1 to 3, mean 1\n");
  EXPECT_EQ(
      DescribeInputs(
          Of({"image", ElementType::kUInt8, {1, 1, 2}, 255, 0}, std::vector<float>{0, 1}), false),
      "image: picture of 1 x 1 x 2\n");
}

TEST(SampleText, EachKindOfLabelIsOneLine) {
  Sample sample = TextOf("ab", 4);
  EXPECT_EQ(DescribeLabel(sample), "");
  sample.class_names = {"cat", "dog"};
  sample.labels = {1};
  EXPECT_EQ(DescribeLabel(sample), "dog");
  sample.spec.answer.positions = {4};
  sample.labels = {1, 0, 1, kNoLabel};
  EXPECT_EQ(DescribeLabel(sample), "2 x dog, 1 x no label, 1 x cat");
  sample.class_names = ByteTokenNames();
  sample.labels = Tokens("bc", 4);
  sample.labels[3] = kNoLabel;
  EXPECT_EQ(DescribeLabel(sample), "\"bc\"");

  Sample labels = TextOf("ab", 4);
  labels.spec.answer.kind = AnswerKind::kMultilabel;
  labels.class_names = {"wet", "cold", "late"};
  labels.label_numbers = {1, 0, 1};
  EXPECT_EQ(DescribeLabel(labels), "wet, late");
  labels.label_numbers = {0, 0, 0};
  EXPECT_EQ(DescribeLabel(labels), "none");
  labels.spec.answer.kind = AnswerKind::kValues;
  labels.label_numbers = {0.5F, -2, 3};
  EXPECT_EQ(DescribeLabel(labels), "wet = 0.5, cold = -2, late = 3");
}

TEST(SampleText, WhatFillsAShortTextIsNotShown) {
  Sample sample = TextOf("abc", 8);
  sample.spec.answer.positions = {8};
  EXPECT_EQ(FilledLength(sample), 3);
  EXPECT_EQ(TokenAt(sample, 1), "b");
  sample.spec.inputs.push_back({"mask", ElementType::kUInt8, {8}, 0, 0});
  sample.inputs.emplace_back(std::vector<uint8_t>{1, 1, 1, 1, 1, 0, 0, 0});
  EXPECT_EQ(FilledLength(sample), 5) << "the mask says so";
  sample.spec.answer.positions = {4};
  EXPECT_EQ(FilledLength(sample), 4) << "the answer is not one for each token";
  EXPECT_EQ(TokenAt(sample, 1), "");
}

TEST(SampleText, AsJsonTheNumbersStandThereIfAskedFor) {
  Sample row = Of({"features", ElementType::kFloat32, {2}, 0, 0}, std::vector<float>{3, 0.5F});
  row.feature_names = {"age", "weight"};
  EXPECT_EQ(
      InputToJson(row, 0, /*all=*/true).dump(),
      R"({"name":"features","form":"table","shape":[2],"features":[{"name":"age","value":3.0},)"
      R"({"name":"weight","value":0.5}],"values":[3.0,0.5]})");
  EXPECT_THAT(InputToJson(TextOf("hi", 4), 0, /*all=*/false).dump(),
              testing::AllOf(HasSubstr(R"("text":"hi")"), Not(HasSubstr("values"))));
}

}  // namespace
}  // namespace distillery

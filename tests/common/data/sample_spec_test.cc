#include "common/data/sample_spec.h"

#include <gtest/gtest.h>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

SampleSpec Tokens() {
  SampleSpec spec;
  spec.inputs.push_back({"tokens", ElementType::kInt64, {64}, 0, 256});
  spec.inputs.push_back({"mask", ElementType::kUInt8, {64}, 0, 0});
  spec.answer.positions = {64};
  return spec;
}

TEST(SampleSpec, PicturesByClassAreOneInputWhoseLabelIsKeptApart) {
  const SampleSpec spec = SampleSpec::Pictures({3, 4, 5}, 16);
  EXPECT_THAT(CheckSampleSpec(spec), IsOk());
  EXPECT_TRUE(spec.is_picture());
  EXPECT_TRUE(spec.picture_shape() == (ImageShape{3, 4, 5}));
  EXPECT_EQ(spec.record_bytes(10), 60);
  EXPECT_EQ(spec.inputs[0].channels(), 3);
  EXPECT_EQ(spec.ToString(), "image uint8 [3, 4, 5] / 16 -> classes");
}

TEST(SampleSpec, ARecordHoldsAllInputsAndALabelForEachPosition) {
  SampleSpec spec = Tokens();
  EXPECT_THAT(CheckSampleSpec(spec), IsOk());
  EXPECT_EQ(spec.input_bytes(), 64 * 8 + 64);
  EXPECT_EQ(spec.label_bytes(256), 64 * 4) << "a class for each token, however many there are";
  EXPECT_EQ(spec.ToString(), "tokens int64 [64] below 256, mask uint8 [64] -> classes [64]");
  spec.answer = {AnswerKind::kMultilabel, {}};
  EXPECT_EQ(spec.label_bytes(7), 7);
  spec.answer = {AnswerKind::kValues, {2, 3}};
  EXPECT_EQ(spec.label_bytes(5), 2 * 3 * 5 * 4);
  EXPECT_EQ(spec.ToString(), "tokens int64 [64] below 256, mask uint8 [64] -> values [2, 3]");
}

TEST(SampleSpec, ColumnsOfATableAndChannelsOfARecordingHaveMomentsOfTheirOwn) {
  const auto channels = [](ElementType type, std::vector<int64_t> shape) {
    return InputSpec{"x", type, std::move(shape), 0, 0}.channels();
  };
  EXPECT_EQ(channels(ElementType::kFloat32, {30}), 30);
  EXPECT_EQ(channels(ElementType::kFloat32, {kMaxFeatures}), kMaxFeatures);
  EXPECT_EQ(channels(ElementType::kFloat32, {16'000}), 1);
  EXPECT_EQ(channels(ElementType::kFloat16, {2, 16'000}), 2);
  EXPECT_EQ(channels(ElementType::kFloat16, {16'000, 2}), 1) << "a card names each mean";
  EXPECT_EQ(channels(ElementType::kFloat32, {}), 1);
  EXPECT_EQ(channels(ElementType::kInt64, {30}), 0);
  EXPECT_EQ(channels(ElementType::kUInt8, {30}), 0);
}

TEST(SampleSpec, WhatCannotBeIsRefusedByName) {
  const auto refused = [](const std::function<void(SampleSpec&)>& change,
                          const std::string& message) {
    SampleSpec spec = Tokens();
    change(spec);
    EXPECT_THAT(CheckSampleSpec(spec), StatusIs(kInvalid, HasSubstr(message)));
  };
  refused([](SampleSpec& s) { s.inputs.clear(); }, "1 to 16 inputs, this one has 0");
  refused([](SampleSpec& s) { s.inputs[1].name = "tokens"; }, "two inputs are named tokens");
  refused([](SampleSpec& s) { s.inputs[0].name = ""; }, "the name of an input");
  refused([](SampleSpec& s) { s.inputs[0].name = "../x"; }, "the name of an input");
  refused([](SampleSpec& s) { s.inputs[0].type = ElementType::kFloat64; },
          "input tokens is float64; an input is uint8, int32, int64, float16 or float32");
  refused([](SampleSpec& s) { s.inputs[0].shape = {64, 0}; }, "input tokens has the shape [64, 0]");
  refused([](SampleSpec& s) { s.inputs[0].shape = {1, 1, 1, 1, 1}; }, "at most 4 sizes");
  refused(
      [](SampleSpec& s) {
        s.inputs[0].shape = {int64_t{1} << 31, int64_t{1} << 31};
      },
      "input tokens has the shape");
  refused([](SampleSpec& s) { s.inputs[0].shape = {kMaxSampleBytes / 8 + 1}; },
          "bytes of inputs, the most are");
  refused([](SampleSpec& s) { s.inputs[0].vocabulary = int64_t{1} << 31; },
          "input tokens has a vocabulary of 2147483648, the most are 4194304");
  refused([](SampleSpec& s) { s.inputs[1].pixel_max = -1; },
          "input mask has a pixel_max of -1, it must be 0 to 255");
  refused([](SampleSpec& s) { s.inputs[1].vocabulary = 3; },
          "input mask has a vocabulary of 3, which only int32 and int64 may have");
  refused([](SampleSpec& s) { s.inputs[1].pixel_max = 255; },
          "input mask has a pixel_max, so it must be uint8 [channels, height, width]");
  refused([](SampleSpec& s) { s.answer.positions = {1, 2, 3}; }, "[height, width]");
  refused([](SampleSpec& s) { s.answer.positions = {-1}; }, "positions [-1]");
}

}  // namespace
}  // namespace distillery

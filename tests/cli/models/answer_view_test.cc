#include "cli/models/answer_view.h"

#include <gmock/gmock.h>

#include "common/data/byte_tokens.h"
#include "nlohmann/json.hpp"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A language model's answer to "ab" at two temperatures, in three classes.
AnswerView Tokens() {
  AnswerView view;
  view.answer.positions = {4};
  view.class_names = {"x", "y", "z"};
  view.sample.spec = {{{"tokens", ElementType::kInt64, {4}, 0, kByteVocabulary}}, view.answer};
  view.sample.inputs = {std::vector<int64_t>{TokenOf('a'), TokenOf('b'), kPadding, kPadding}};
  view.sample.labels = {1, 2, kNoLabel, kNoLabel};
  const std::vector<float> sharp = {0.1F, 0.8F, 0.1F, 0.2F, 0.3F, 0.5F, 1, 0, 0, 1, 0, 0};
  view.answers = {{1, sharp}, {100, std::vector<float>(12, 1.0F / 3)}};
  return view;
}

AnswerView Mask() {
  AnswerView view;
  view.answer.positions = {2, 2};
  view.class_names = {"none", "cat", "dog"};
  view.sample.spec = {{{"image", ElementType::kUInt8, {1, 2, 2}, 255, 0}}, view.answer};
  view.sample.inputs = {std::vector<float>{0, 1, 0.5F, 0}};
  view.sample.labels = {0, 1, 2, 2};
  view.answers = {{1, {1, 0, 0, 0, 1, 0, 0, 0.25F, 0.75F, 0.5F, 0.25F, 0.25F}}};
  return view;
}

TEST(AnswerView, EachTokenHasItsLikeliestClassesAtEachTemperature) {
  EXPECT_EQ(AnswerText(Tokens()),
            "at  token  label          T = 1, %        T = 100, %\n"
            "0       a      y  y 80, x 10, z 10  x 33, y 33, z 33\n"
            "1       b      z  z 50, y 30, x 20  x 33, y 33, z 33\n"
            "2 positions hold nothing\n");
}

TEST(AnswerView, LongTextsAreCutAndCounted) {
  AnswerView view = Tokens();
  constexpr size_t kLength = 70;
  view.answer.positions = {int64_t{kLength}};
  view.sample.spec.answer = view.answer;
  view.sample.spec.inputs[0].shape = view.answer.positions;
  view.sample.inputs = {std::vector<int64_t>(kLength, TokenOf('a'))};
  view.sample.labels.assign(kLength, 0);
  view.answers = {{1, std::vector<float>(kLength * 3, 0.25F)}};
  EXPECT_THAT(AnswerText(view), HasSubstr("\n63"));
  EXPECT_THAT(AnswerText(view), HasSubstr("\n... and 6 more positions\n"));
}

TEST(AnswerView, AMaskStandsOverThePicture) {
  EXPECT_EQ(AnswerText(Mask()),
            "hard label\n"
            "   1\n"
            "  22\n"
            "\n"
            "likeliest classes\n"
            "   1\n"
            "  2\n"
            "\n"
            "class  sign  pixels  label\n"
            "none              2      1\n"
            "cat       1       1      1\n"
            "dog       2       1      2\n"
            "\n"
            "T = 1: mean probability of the likeliest class 81.25 %\n");
  AnswerView plain = Mask();
  plain.sample.labels.clear();
  plain.sample.inputs = {std::vector<float>{1, 1, 1, 1}};
  EXPECT_THAT(AnswerText(plain), HasSubstr("likeliest classes\n  █1\n  2█\n"));
}

TEST(AnswerView, AMaskIsDrawnInColourBesideThePicture) {
  ASSERT_OK_AND_ASSIGN(const Image image, DrawAnswer(Mask()));
  EXPECT_EQ(image.shape, (ImageShape{3, 256, 3 * 257 - 1}));
  const auto at = [&](int64_t c, int64_t y, int64_t x) {
    return image.pixels[static_cast<size_t>((c * image.shape.height + y) * image.shape.width + x)];
  };
  EXPECT_EQ(at(0, 0, 200), 255) << "the picture";
  EXPECT_EQ(at(1, 0, 200), 255);
  EXPECT_EQ(at(2, 200, 257), 192) << "a dog of the label, half blue, on grey";
  EXPECT_EQ(at(2, 200, 257 + 200), 128) << "and on black";
  EXPECT_EQ(at(2, 200, 514 + 200), 0) << "of which the model sees one";
  AnswerView tokens = Tokens();
  EXPECT_THAT(DrawAnswer(tokens), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("only a class for each pixel")));
}

TEST(AnswerView, ValuesAreNumbersAndNoProbabilities) {
  AnswerView view;
  view.answer.kind = AnswerKind::kValues;
  view.class_names = {"price", "age"};
  view.sample.spec.answer = view.answer;
  view.sample.label_numbers = {2, 3};
  view.answers = {{1, {2.5F, -1}}};
  EXPECT_EQ(AnswerText(view),
            "value  answer  label\n"
            "price     2.5      2\n"
            "age        -1      3\n");
  EXPECT_EQ(AnswerToJson(view)["values"].dump(), "[2.5,-1.0]");
  EXPECT_FALSE(AnswerToJson(view).contains("soft_targets"));
  EXPECT_EQ(PositionText(view, view.answers[0].numbers.data(), 1), "price = 2.5, age = -1");
}

TEST(AnswerView, JsonHasEveryNumberByPosition) {
  const nlohmann::ordered_json json = AnswerToJson(Mask());
  EXPECT_EQ(json["labels"].dump(), "[0,1,2,2]");
  EXPECT_EQ(json["soft_targets"][0]["probabilities"].dump(),
            "[[[1.0,0.0,0.0],[0.0,1.0,0.0]],[[0.0,0.25,0.75],[0.5,0.25,0.25]]]");
  EXPECT_THAT(Mask().Choices(), ElementsAre(0, 1, 2, 0));
}

}  // namespace
}  // namespace distillery

#include "common/model/card.h"

#include <algorithm>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

constexpr char kGood[] = R"({
  "format": 1, "architecture": "lenet", "input_shape": [3, 8, 9],
  "mean": [0.5, 0.25, 0.125], "deviation": [1, 2, 0.5],
  "class_names": ["cat", "dog"], "output": "logits"
})";

// kGood with one piece of text replaced.
std::string With(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void ExpectRefused(const std::string& text, const std::string& message) {
  EXPECT_THAT(ParseModelCard(text),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
      << text.substr(0, 300);
}

TEST(ModelCard, ReadsWhatItSays) {
  ASSERT_OK_AND_ASSIGN(const ModelCard card, ParseModelCard(kGood));
  EXPECT_EQ(card.architecture, "lenet");
  EXPECT_TRUE(card.samples.picture_shape() == (ImageShape{3, 8, 9}));
  EXPECT_EQ(card.mean, (std::vector<float>{0.5F, 0.25F, 0.125F}));
  EXPECT_EQ(card.deviation, (std::vector<float>{1, 2, 0.5F}));
  EXPECT_EQ(card.class_names, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_FALSE(card.outputs_probabilities);
  ASSERT_OK_AND_ASSIGN(const ModelCard other,
                       ParseModelCard(With("\"logits\"", "\"probabilities\"")));
  EXPECT_TRUE(other.outputs_probabilities);
}

TEST(ModelCard, ArchitectureMayBeLeftOut) {
  ASSERT_OK_AND_ASSIGN(const ModelCard card,
                       ParseModelCard(With("\"architecture\": \"lenet\",", "")));
  EXPECT_EQ(card.architecture, "");
}

TEST(ModelCard, RoundTripKeepsEveryField) {
  ModelCard card;
  card.architecture = "mlp:4-2";
  card.samples = SampleSpec::Pictures({1, 2, 2}, 255);
  card.mean = {0.1307F};
  card.deviation = {0.3081F};
  card.class_names = {"caf\xC3\xA9", "\"quoted\""};
  card.outputs_probabilities = true;
  ASSERT_OK_AND_ASSIGN(const ModelCard read, ParseModelCard(ModelCardToJson(card)));
  EXPECT_EQ(read.architecture, card.architecture);
  EXPECT_TRUE(read.samples == card.samples);
  EXPECT_EQ(read.mean, card.mean);
  EXPECT_EQ(read.deviation, card.deviation);
  EXPECT_EQ(read.class_names, card.class_names);
  EXPECT_TRUE(read.outputs_probabilities);
  EXPECT_EQ(ModelCardToJson(read), ModelCardToJson(card));
}

// Digests of teachers are made of this text.
TEST(ModelCard, OfPicturesByClassIsTheTextThatItAlwaysWas) {
  ModelCard card;
  card.architecture = "mlp:4-2";
  card.samples = SampleSpec::Pictures({1, 2, 2}, 16);
  card.mean = {0.5F};
  card.deviation = {0.25F};
  card.class_names = {"a", "b"};
  EXPECT_EQ(
      ModelCardToJson(card),
      "{\n  \"format\": 1,\n  \"architecture\": \"mlp:4-2\",\n  \"input_shape\": [\n    1,\n"
      "    2,\n    2\n  ],\n  \"mean\": [\n    0.5\n  ],\n  \"deviation\": [\n    0.25\n  ],\n"
      "  \"class_names\": [\n    \"a\",\n    \"b\"\n  ],\n  \"output\": \"logits\"\n}\n");
}

TEST(ModelCard, OfOtherSamplesSaysWhatTheyAre) {
  ModelCard card;
  card.samples.inputs = {{"tokens", ElementType::kInt64, {8}, 0, 256},
                         {"features", ElementType::kFloat32, {2}, 0, 0},
                         {"picture", ElementType::kUInt8, {1, 2, 2}, 16, 0}};
  card.samples.answer = {AnswerKind::kMultilabel, {8}};
  card.mean = {1, 2, 3};
  card.deviation = {1, 2, 0.5F};
  card.class_names = {"only"};
  ASSERT_OK_AND_ASSIGN(const ModelCard read, ParseModelCard(ModelCardToJson(card)));
  EXPECT_EQ(read.samples, card.samples);
  EXPECT_EQ(read.mean, card.mean);
  EXPECT_EQ(ModelCardToJson(read), ModelCardToJson(card));
}

TEST(ModelCard, InputsThatCannotBeAreRefused) {
  const auto with = [](const std::string& inputs, const std::string& answer) {
    return With("\"input_shape\": [3, 8, 9]",
                "\"inputs\": [" + inputs + "], \"answer\": {" + answer + "}");
  };
  const std::string floats = R"({"name": "x", "type": "float32", "shape": [3]})";
  const std::string classes = R"("kind": "classes", "positions": [])";
  EXPECT_THAT(ParseModelCard(with(floats, classes)), IsOk());
  ExpectRefused(with("", classes), "a sample has 1 to 16 inputs");
  ExpectRefused(with(R"({"name": "x", "type": "float33", "shape": [3]})", classes),
                "inputs[0].type must be");
  ExpectRefused(with(R"({"name": "x", "type": "float32"})", classes), "inputs[0].shape is missing");
  ExpectRefused(with(R"({"name": "x", "type": "float64", "shape": [3]})", classes),
                "input x is float64");
  ExpectRefused(with(floats, R"("kind": "class", "positions": [])"), "answer.kind must be");
  ExpectRefused(with(floats, R"("kind": "classes", "positions": [0])"), "positions [0]");
  ExpectRefused(with(R"({"name": "x", "type": "float32", "shape": [4]})", classes),
                "mean must hold one number per channel, 4");
  ExpectRefused(with(floats + ", " + floats, classes), "two inputs are named x");
}

TEST(ModelCard, WhichOutputCountsWhatItTakesAndIsBelievedMayBeSaid) {
  const auto read = [](const std::string& more) {
    auto card = ParseModelCard(With("\"logits\"", "\"logits\", " + more));
    EXPECT_THAT(card, IsOk()) << more;
    return card.ok() ? *card : ModelCard();
  };
  using Key = std::vector<OutputStep>;
  EXPECT_EQ(read("\"output_key\": \"logits\"").output_key, Key{"logits"});
  EXPECT_EQ(read("\"output_key\": 0").output_key, Key{0});
  EXPECT_EQ(read("\"output_key\": [1, \"logits\"]").output_key, (Key{1, "logits"}));
  EXPECT_TRUE(read("\"trust_output\": true").trust_output);
  EXPECT_FALSE(read("\"trust_output\": false").trust_output);
  EXPECT_EQ(read("\"input_type\": \"float16\"").input_type, "float16");
  // Written so that it reads the same; a card that says none of it is written as ever.
  const ModelCard card = read(
      "\"output_key\": [1, \"logits\"], \"trust_output\": true, "
      "\"input_type\": \"bfloat16\"");
  ASSERT_OK_AND_ASSIGN(const ModelCard again, ParseModelCard(ModelCardToJson(card)));
  EXPECT_EQ(again.output_key, card.output_key);
  EXPECT_TRUE(again.trust_output);
  EXPECT_EQ(again.input_type, "bfloat16");
  ASSERT_OK_AND_ASSIGN(const ModelCard plain, ParseModelCard(kGood));
  EXPECT_EQ(ModelCardToJson(plain), R"({
  "format": 1,
  "architecture": "lenet",
  "input_shape": [
    3,
    8,
    9
  ],
  "mean": [
    0.5,
    0.25,
    0.125
  ],
  "deviation": [
    1.0,
    2.0,
    0.5
  ],
  "class_names": [
    "cat",
    "dog"
  ],
  "output": "logits"
}
)");
}

TEST(ModelCard, EachMissingKeyIsNamed) {
  ExpectRefused(With("\"format\": 1,", ""), "format is missing");
  ExpectRefused(With("\"input_shape\": [3, 8, 9],", ""), "input_shape is missing");
  ExpectRefused(With("\"mean\": [0.5, 0.25, 0.125],", ""), "mean is missing");
  ExpectRefused(With("\"deviation\": [1, 2, 0.5],", ""), "deviation is missing");
  ExpectRefused(With("\"class_names\": [\"cat\", \"dog\"],", ""), "class_names is missing");
  ExpectRefused(With(", \"output\": \"logits\"", ""), "output is missing");
}

TEST(ModelCard, UnknownKeysNameTheNearest) {
  ExpectRefused(With("\"format\"", "\"means\": [1], \"format\""), "did you mean \"mean\"?");
}

TEST(ModelCard, WrongValuesNameTheirKey) {
  ExpectRefused(With("\"format\": 1", "\"format\": 2"), "format must be 1");
  ExpectRefused(With("\"lenet\"", "7"), "architecture must be text");
  for (const char* const shape : {"[8, 9]", "[3, 8, 9, 1]", "[3, 8, -9]", "[0, 8, 9]",
                                  "[3, 8, 9.5]", "\"3x8x9\"", "[3, 4294967296, 4294967296]"}) {
    ExpectRefused(With("[3, 8, 9]", shape), "input_shape must be");
  }
  for (const char* const mean : {"[0.5]", "[0.5, 0.25, \"0\"]", "0.5", "[0.5, 0.25, 1e300]"}) {
    ExpectRefused(With("[0.5, 0.25, 0.125]", mean), "mean must hold");
  }
  ExpectRefused(With("[1, 2, 0.5]", "[1, 2, 0]"), "deviation must be > 0");
  ExpectRefused(With("[1, 2, 0.5]", "[1, 2, -1]"), "deviation must be > 0");
  ExpectRefused(With("[\"cat\", \"dog\"]", "[\"cat\"]"), "class_names must hold at least two");
  ExpectRefused(With("[\"cat\", \"dog\"]", "[\"cat\", 2]"), "class_names must hold text");
  ExpectRefused(With("\"logits\"", "\"softmax\""), "output must be");
  for (const char* const key : {"-1", "[]", "0.5", "null", "true", "[[0]]", "{}", "4294967296"}) {
    ExpectRefused(With("\"logits\"", std::string("\"logits\", \"output_key\": ") + key),
                  "output_key must be");
  }
  ExpectRefused(With("\"logits\"", "\"logits\", \"trust_output\": 1"), "trust_output must be");
  ExpectRefused(With("\"logits\"", "\"logits\", \"input_type\": \"uint8\""), "input_type must be");
}

TEST(ModelCard, WhatIsNoJsonObjectIsRefused) {
  for (const char* const text : {"", "{", "[]", "null", "7", "\"card\"", "{\"format\": 1,}"}) {
    ExpectRefused(text, "not a JSON object");
  }
  // Deep nesting must not overflow the stack.
  ExpectRefused("{\"format\": " + std::string(100000, '[') + std::string(100000, ']') + "}", "");
}

TEST(CheckSameClasses, EqualNamesFitAndSoDoNumbers) {
  const std::vector<std::string> pets = {"cat", "dog", "eel"};
  const std::vector<std::string> numbers = {"0", "1", "2"};
  EXPECT_THAT(CheckSameClasses({"a", pets}, {"b", pets}), IsOk());
  // Lists of numbers stand for data without names.
  EXPECT_THAT(CheckSameClasses({"a", pets}, {"b", numbers}), IsOk());
  EXPECT_THAT(CheckSameClasses({"a", numbers}, {"b", pets}), IsOk());
  EXPECT_THAT(CheckSameClasses({"a", numbers}, {"b", numbers}), IsOk());
}

TEST(CheckSameClasses, AnotherOrderIsRefusedWithBothLists) {
  const auto refused = [](const std::vector<std::string>& a, const std::vector<std::string>& b,
                          const std::string& message) {
    EXPECT_THAT(CheckSameClasses({"the model", a}, {"data set pets", b}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
    EXPECT_FALSE(CheckSameClasses({"the model", b}, {"data set pets", a}).ok());
  };
  refused({"cat", "dog", "eel"}, {"cat", "eel", "dog"},
          "the model and data set pets have the same classes in another order: class 1 is \"dog\" "
          "to the model (cat, dog, eel) and \"eel\" to data set pets (cat, eel, dog)");
  // Folders of numbers in the order of text are no list of numbers.
  std::vector<std::string> numbers;
  for (int i = 0; i < 11; ++i) numbers.push_back(std::to_string(i));
  std::vector<std::string> as_text = numbers;
  std::sort(as_text.begin(), as_text.end());
  refused(numbers, as_text, "another order: class 2 is \"2\"");
  // Nor are those that begin at one.
  refused({"0", "1", "2"}, {"1", "2", "3"}, "unlike classes: class 0 is \"0\"");
}

TEST(CheckSameClasses, OtherNamesAndOtherNumbersOfThemAreRefused) {
  const std::vector<std::string> pets = {"cat", "dog", "eel"};
  EXPECT_THAT(CheckSameClasses({"the model", pets}, {"data set zoo", {"cat", "dog", "emu"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("unlike classes: class 2 is \"eel\"")));
  EXPECT_THAT(CheckSameClasses({"the model", pets}, {"data set zoo", {"cat", "dog"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the model has 3 classes, data set zoo has 2")));
}

TEST(CheckSameClasses, LongListsAreCutAroundTheDifference) {
  std::vector<std::string> many;
  for (int i = 0; i < 60000; ++i) many.push_back("class " + std::to_string(i));
  std::vector<std::string> other = many;
  std::swap(other[40000], other[59999]);
  const absl::Status status = CheckSameClasses({"the model", many}, {"data set x", other});
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("class 40000 is \"class 40000\"")));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("..., class 3999")));
  EXPECT_LT(status.message().size(), 700U);
}

}  // namespace
}  // namespace distillery

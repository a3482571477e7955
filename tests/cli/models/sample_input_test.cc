#include "cli/models/sample_input.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/data/byte_tokens.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

SampleSpec Table() { return {{{"features", ElementType::kFloat32, {3}, 0, 0}}, {}}; }
SampleSpec Texts() {
  return {{{"tokens", ElementType::kInt64, {4}, 0, kByteVocabulary},
           {"mask", ElementType::kUInt8, {4}, 0, 0}},
          {}};
}

const std::vector<float>& Floats(const Sample& sample) {
  return std::get<std::vector<float>>(sample.inputs.front());
}

class SampleFiles : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  const std::string folder_ = testing::TempDir() + "sample_input_test";
};

TEST(SampleInput, ATextIsBytesAndAMaskAndALongOneIsCut) {
  ASSERT_OK_AND_ASSIGN(const Sample sample, MakeTextSample("ab", Texts()));
  EXPECT_THAT(std::get<std::vector<int64_t>>(sample.inputs[0]),
              ElementsAre('a' + 1, 'b' + 1, 0, 0));
  EXPECT_THAT(std::get<std::vector<uint8_t>>(sample.inputs[1]), ElementsAre(1, 1, 0, 0));
  EXPECT_THAT(sample.name, IsEmpty());
  ASSERT_OK_AND_ASSIGN(const Sample cut, MakeTextSample("abcdef", Texts()));
  EXPECT_EQ(cut.name, "(the first 4 of 6 bytes)");
  EXPECT_THAT(MakeTextSample("", Texts()), StatusIs(kInvalid, HasSubstr("the text is empty")));
  EXPECT_THAT(
      MakeTextSample("ab", Table()),
      StatusIs(kInvalid, HasSubstr("the model takes no text, it takes features float32 [3]")));
}

TEST(SampleInput, ARowIsCellsOrAJsonObject) {
  ASSERT_OK_AND_ASSIGN(const Sample cells, MakeRowSample(" 1, -2.5,3e1 ", Table()));
  EXPECT_THAT(Floats(cells), ElementsAre(1, -2.5, 30));
  ASSERT_OK_AND_ASSIGN(const Sample json,
                       MakeRowSample(R"({"features": [1, [2, 3]], "label": "cat"})", Table()));
  EXPECT_THAT(Floats(json), ElementsAre(1, 2, 3));
  ASSERT_OK_AND_ASSIGN(const Sample text, MakeRowSample(R"({"text": "ab"})", Texts()));
  EXPECT_EQ(text.inputs.size(), 2);
}

TEST(SampleInput, ARowThatDoesNotFitIsRefusedInOneLine) {
  for (const auto& [row, why] : {
           std::pair{"1,2", "features has 2 numbers, features float32 [3] needs 3"},
           std::pair{"1,2,3,4", "features has 4 numbers"},
           std::pair{"1,x,3", "features[1] is \"x\", no number"},
           std::pair{"1,,3", "features[1] is empty"},
           std::pair{"1,inf,3", "features[1]"},
           std::pair{R"({"feature": [1, 2, 3]})", "did you mean \"features\"?"},
           std::pair{"{}", "there is no features"},
           std::pair{R"({"features": [1, "a", 3]})", "features[1] is no number"},
           std::pair{"{", "not a JSON object"},
       }) {
    EXPECT_THAT(MakeRowSample(row, Table()), StatusIs(kInvalid, HasSubstr(why))) << row;
  }
  EXPECT_THAT(MakeRowSample("1,2", Texts()), StatusIs(kInvalid, HasSubstr("takes 2 inputs")));
  EXPECT_THAT(MakeRowSample(R"({"tokens": [1, 2, 3, 257], "mask": [1, 1, 1, 1]})", Texts()),
              StatusIs(kInvalid, HasSubstr("tokens[3] is 257, tokens are 0 to 256")));
  EXPECT_THAT(MakeRowSample(R"({"tokens": [1, 2, 3, 0.5], "mask": [1, 1, 1, 1]})", Texts()),
              StatusIs(kInvalid, HasSubstr("wanted: a whole number")));
  EXPECT_THAT(MakeRowSample(R"({"tokens": [1, 2, 3, 4], "mask": [1, 1, 1, 300]})", Texts()),
              StatusIs(kInvalid, HasSubstr("mask[3] is 300, bytes are 0 to 255")));
}

TEST_F(SampleFiles, ColumnsOfACsvAreKnownByTheDataSetsTable) {
  Write("train.csv", "age,colour,species\n3,red,cat\n4,blue,dog\n");
  const std::string file = Write("new.csv", "colour,age\nred,7\nblue,8\n");
  ASSERT_OK_AND_ASSIGN(const std::vector<Sample> samples, ReadSampleFile(file, Table(), folder_));
  ASSERT_EQ(samples.size(), 2);
  EXPECT_THAT(samples[0].feature_names, ElementsAre("age", "colour=blue", "colour=red"));
  EXPECT_THAT(Floats(samples[0]), ElementsAre(7, 0, 1));
  EXPECT_THAT(Floats(samples[1]), ElementsAre(8, 1, 0));
  EXPECT_THAT(ReadSampleFile(Write("a.csv", "age,hue\n1,red\n"), Table(), folder_),
              StatusIs(kInvalid, HasSubstr("a.csv:1: unknown column \"hue\"")));
  EXPECT_THAT(ReadSampleFile(Write("b.csv", "age\n1\n"), Table(), folder_),
              StatusIs(kInvalid, HasSubstr("b.csv:1: there is no column colour")));
  EXPECT_THAT(ReadSampleFile(Write("c.csv", "age,colour\n1,green\n"), Table(), folder_),
              StatusIs(kInvalid, HasSubstr("c.csv:2: column colour: \"green\"")));
  EXPECT_THAT(ReadSampleFile(Write("d.csv", "age,colour\n1\n"), Table(), folder_),
              StatusIs(kInvalid, HasSubstr("d.csv:2: 1 cells, there are 2 columns")));
}

TEST_F(SampleFiles, WithoutADataSetEachColumnIsOneFeature) {
  ASSERT_OK_AND_ASSIGN(const std::vector<Sample> samples,
                       ReadSampleFile(Write("a.csv", "x,y,z\n1,2,3\n\n4,5,6\n"), Table(), ""));
  ASSERT_EQ(samples.size(), 2);
  EXPECT_EQ(samples[1].name, "a.csv:4");
  EXPECT_THAT(Floats(samples[1]), ElementsAre(4, 5, 6));
  EXPECT_THAT(ReadSampleFile(Write("b.csv", "x,y\n1,2\n"), Table(), ""),
              StatusIs(kInvalid, HasSubstr("b.csv:1: 2 columns, the model takes features")));
  EXPECT_THAT(ReadSampleFile(Write("c.csv", "1,2,3\n"), Table(), ""),
              StatusIs(kInvalid, HasSubstr("these are numbers")));
  EXPECT_THAT(ReadSampleFile(Write("d.csv", "x,y,z\n1,2,cat\n"), Table(), ""),
              StatusIs(kInvalid, HasSubstr("d.csv:2: features[2] is \"cat\"")));
}

TEST_F(SampleFiles, EachLineOfATextOrOfJsonIsASample) {
  ASSERT_OK_AND_ASSIGN(const std::vector<Sample> texts,
                       ReadSampleFile(Write("a.txt", "ab\r\n\nabcdef\n"), Texts(), ""));
  ASSERT_EQ(texts.size(), 2);
  EXPECT_EQ(texts[0].name, "a.txt:1");
  EXPECT_EQ(texts[1].name, "a.txt:3 (the first 4 of 6 bytes)");
  EXPECT_THAT(ReadSampleFile(Write("a.jsonl", "{\"text\": \"ab\"}\n{\"text\": 3}\n"), Texts(), ""),
              StatusIs(kInvalid, HasSubstr("a.jsonl:2: text must be text")));
}

}  // namespace
}  // namespace distillery

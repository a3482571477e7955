#include "common/data/text_folder.h"

#include "common/data/byte_tokens.h"
#include "tests/common/data/files.h"
#include "tests/common/data/records.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TextFolderTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& bytes) { folder_.Write(name, bytes); }
  void WriteJsonl(const std::string& train) {
    Write("train.jsonl", train);
    Write("test.jsonl", "{\"text\": \"b\", \"label\": \"no\"}\n");
    Write("dataset.json", "{\"length\": 3}");
  }
  static absl::StatusOr<StoredSamples> Checked(absl::StatusOr<StoredSamples> samples) {
    if (samples.ok()) {
      EXPECT_THAT(CheckSamples(*samples), IsOk());
    }
    return samples;
  }
  absl::StatusOr<StoredSamples> ReadJsonl() {
    return Checked(ReadJsonlFolder("tiny", folder_.path()));
  }
  absl::StatusOr<StoredSamples> ReadCsv() { return Checked(ReadCsvFolder("tiny", folder_.path())); }
  absl::StatusOr<StoredSamples> ReadPlainText() {
    return Checked(ReadPlainTextFolder("tiny", folder_.path()));
  }
  TemporaryFolder folder_;
};

constexpr char kTwoTexts[] =
    "{\"text\": \"ab\", \"label\": \"yes\"}\n"
    "\n"
    "{\"label\": \"no\", \"text\": \"\\u00e9xyz\"}\r\n";

TEST_F(TextFolderTest, TextsAreTokensOfBytesWithAMaskAndClasses) {
  EXPECT_FALSE(HoldsJsonl(folder_.path()));
  WriteJsonl(kTwoTexts);
  EXPECT_TRUE(HoldsJsonl(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadJsonl());
  EXPECT_EQ(samples.name, "tiny");
  EXPECT_EQ(samples.spec.ToString(), "tokens int64 [3] below 257, mask uint8 [3] -> classes");
  EXPECT_THAT(samples.class_names, ElementsAre("no", "yes"));
  EXPECT_THAT(samples.labels, ElementsAre(1, 0, 0));
  EXPECT_THAT(samples.train, ElementsAre(0, 1));
  EXPECT_THAT(samples.test, ElementsAre(2));
  EXPECT_THAT(NumbersOf<int64_t>(samples, 0, 0, 3), ElementsAre('a' + 1, 'b' + 1, 0));
  EXPECT_THAT(NumbersOf<uint8_t>(samples, 0, 24, 3), ElementsAre(1, 1, 0));
  EXPECT_THAT(NumbersOf<int64_t>(samples, 1, 0, 3), ElementsAre(0xC3 + 1, 0xA9 + 1, 'x' + 1));
  EXPECT_THAT(NumbersOf<uint8_t>(samples, 1, 24, 3), ElementsAre(1, 1, 1));
}

TEST_F(TextFolderTest, TextsThatAreCutAreCounted) {
  WriteJsonl(kTwoTexts);
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadJsonl());
  ASSERT_EQ(samples.left_out.size(), 1);
  EXPECT_THAT(samples.left_out[0].what,
              HasSubstr("the ends of 1 of 2 texts of train.jsonl that have more than 3 bytes"));
  Write("dataset.json", "{\"length\": 5}");
  ASSERT_OK_AND_ASSIGN(const StoredSamples longer, ReadJsonl());
  EXPECT_THAT(longer.left_out, IsEmpty());
  ASSERT_THAT(RemoveFile(folder_.File("dataset.json")), IsOk());
  ASSERT_OK_AND_ASSIGN(const StoredSamples usual, ReadJsonl());
  EXPECT_EQ(usual.spec.inputs[0].shape, std::vector<int64_t>{128});
}

TEST_F(TextFolderTest, LabelsThatAreNumbersWithAPointAreValues) {
  WriteJsonl("{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 2.5}");
  Write("test.jsonl", "{\"text\": \"c\", \"label\": -3}");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadJsonl());
  EXPECT_EQ(samples.spec.answer.kind, AnswerKind::kValues);
  EXPECT_THAT(NumbersOf<float>(samples, 1, 27, 1), ElementsAre(2.5));
  EXPECT_THAT(NumbersOf<float>(samples, 2, 27, 1), ElementsAre(-3));
}

TEST_F(TextFolderTest, LinesThatAreNoTextAndLabelAreRefusedByNumber) {
  const std::pair<const char*, const char*> lines[] = {
      {"{\"text\": [\"a\", [\"b\"]], \"label\": 1}", "train.jsonl:4: text is a list"},
      {"{\"text\": \"a\", \"label\": [0, 1]}", "train.jsonl:4: label is a list"},
      {"{\"text\": \"a\", \"label\": null}", "label must be text or a number"},
      {"{\"text\": 5, \"label\": 1}", "text must be text"},
      {"{\"text\": \"a\"}", "label is missing"},
      {"{\"text\": \"a\", \"label\": \"b\", \"id\": 3}", "id is no key here"},
      {"[1, 2]", "not a JSON object"},
      {"{\"text\": \"a\", \"label\":", "not a JSON object"},
      {"{\"text\": \"a\xff\", \"label\": \"b\"}", "not a JSON object"},
      {"{\"text\": \"\", \"label\": \"yes\"}", "train.jsonl:4: text: the text is empty"},
      {"{\"text\": \"a\", \"label\": \"\"}", "train.jsonl:4: label: there is no label"},
      {"{\"text\": \"a\", \"label\": 3}", "\"yes\" is no number"}};
  for (const auto& [line, message] : lines) {
    WriteJsonl(std::string(kTwoTexts) + line);
    EXPECT_THAT(ReadJsonl(), StatusIs(kInvalid, AllOf(HasSubstr("tiny: "), HasSubstr(message))));
  }
  WriteJsonl("\n");
  EXPECT_THAT(ReadJsonl(), StatusIs(kInvalid, HasSubstr("tiny: train.jsonl holds no texts")));
  WriteJsonl(kTwoTexts);
  Write("test.jsonl", "{\"text\": \"a\", \"label\": \"maybe\"}");
  EXPECT_THAT(ReadJsonl(), StatusIs(kInvalid, HasSubstr("test.jsonl:1: label: unknown class")));
  ASSERT_THAT(RemoveFile(folder_.File("test.jsonl")), IsOk());
  EXPECT_THAT(ReadJsonl(), StatusIs(kNotFound, HasSubstr("test.jsonl")));
}

TEST_F(TextFolderTest, OptionsThatCannotBeAreRefused) {
  WriteJsonl(kTwoTexts);
  const std::pair<const char*, const char*> options[] = {
      {"{\"length\": 0}", "length must be a whole number from 1 to 65536"},
      {"{\"length\": \"3\"}", "length must be a whole number"},
      {"{\"lenght\": 3}", "did you mean \"length\""},
      {"{\"answer\": \"numbers\"}", "answer must be classes or values"},
      {"3", "not a JSON object"}};
  for (const auto& [text, message] : options) {
    Write("dataset.json", text);
    EXPECT_THAT(ReadJsonl(),
                StatusIs(kInvalid, AllOf(HasSubstr("dataset.json: "), HasSubstr(message))));
  }
}

TEST_F(TextFolderTest, CsvOfTextAndLabelIsTextAndAnyOtherIsATable) {
  WriteJsonl(kTwoTexts);
  ASSERT_OK_AND_ASSIGN(const StoredSamples jsonl, ReadJsonl());
  Write("train.csv", "\xEF\xBB\xBFlabel,text\r\nyes,ab\r\nno,\"\xC3\xA9xyz\"\r\n");
  Write("test.csv", "label,text\nno,b\n");
  ASSERT_OK_AND_ASSIGN(const StoredSamples csv, ReadCsv());
  EXPECT_EQ(csv.records, jsonl.records);
  EXPECT_EQ(csv.labels, jsonl.labels);
  Write("test.csv", "label,words\nno,b\n");
  EXPECT_THAT(ReadCsv(), StatusIs(kInvalid, HasSubstr("test.csv:1: the columns are not text and")));
  Write("test.csv", "label,text\nno,b,c\n");
  EXPECT_THAT(ReadCsv(), StatusIs(kInvalid, HasSubstr("test.csv:2: 3 cells")));

  ASSERT_THAT(RemoveFile(folder_.File("dataset.json")), IsOk());
  Write("train.csv", "size,label\n3,yes\n4,no\n");
  Write("test.csv", "size,label\n5,no\n");
  ASSERT_OK_AND_ASSIGN(const StoredSamples table, ReadCsv());
  EXPECT_EQ(table.spec.ToString(), "features float32 [1] -> classes");
  Write("train.csv", "size,label\n3,yes\nx,no\n");
  EXPECT_THAT(ReadCsv(), StatusIs(kInvalid, HasSubstr("tiny: train.csv:3: column size")));
}

TEST_F(TextFolderTest, PlainTextIsWindowsWhoseLabelsAreTheNextTokens) {
  Write("train.txt", "abcdef");
  Write("test.txt", "xyz\n");
  Write("dataset.json", "{\"length\": 3}");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadPlainText());
  EXPECT_EQ(samples.spec.ToString(), "tokens int64 [3] below 257 -> classes [3]");
  EXPECT_THAT(samples.train, ElementsAre(0, 1));
  EXPECT_THAT(samples.test, ElementsAre(2));
  EXPECT_EQ(samples.class_names.size(), 257);
  const auto tokens = [&](int64_t i) { return NumbersOf<int64_t>(samples, i, 0, 3); };
  const auto labels = [&](int64_t i) { return NumbersOf<int32_t>(samples, i, 24, 3); };
  EXPECT_THAT(tokens(0), ElementsAre('a' + 1, 'b' + 1, 'c' + 1));
  EXPECT_THAT(labels(0), ElementsAre('b' + 1, 'c' + 1, 'd' + 1)) << "of the next window";
  EXPECT_THAT(tokens(1), ElementsAre('d' + 1, 'e' + 1, 'f' + 1));
  EXPECT_THAT(labels(1), ElementsAre('e' + 1, 'f' + 1, kNoLabel));
  EXPECT_THAT(tokens(2), ElementsAre('x' + 1, 'y' + 1, 'z' + 1));
  EXPECT_THAT(labels(2), ElementsAre('y' + 1, 'z' + 1, '\n' + 1))
      << "the last byte is a label alone";
}

TEST_F(TextFolderTest, AShortTextIsPadded) {
  Write("train.txt", "ab");
  Write("test.txt", "cd");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadPlainText());
  EXPECT_THAT(NumbersOf<int64_t>(samples, 0, 0, 3), ElementsAre('a' + 1, 'b' + 1, 0));
  EXPECT_THAT(NumbersOf<int32_t>(samples, 0, 8 * 128, 3), ElementsAre('b' + 1, kNoLabel, kNoLabel));
  Write("test.txt", "c");
  EXPECT_THAT(ReadPlainText(), StatusIs(kInvalid, HasSubstr("tiny: test.txt has 1 bytes")));
}

TEST_F(TextFolderTest, AModelOfATokenizerIsNotPassedOver) {
  Write("train.txt", "ab");
  Write("test.txt", "cd");
  Write("tokenizer.model", "x");
  EXPECT_THAT(ReadPlainText(), StatusIs(kInvalid, HasSubstr("tokenizer.model is not read")));
}

TEST(ByteTokens, HaveNamesThatClassesMayHave) {
  const std::vector<std::string> names = ByteTokenNames();
  ASSERT_EQ(names.size(), kByteVocabulary);
  EXPECT_EQ(names[kPadding], "<pad>");
  EXPECT_EQ(names[TokenOf('a')], "a");
  EXPECT_EQ(names[TokenOf('\n')], "<0x0A>");
  EXPECT_EQ(names[TokenOf(' ')], "<0x20>");
  EXPECT_EQ(names[TokenOf('\xFF')], "<0xFF>");
}

}  // namespace
}  // namespace distillery

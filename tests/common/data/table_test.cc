#include "common/data/table.h"

#include "tests/common/data/records.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kMost = 1 << 20;

constexpr char kTrainRows[] =
    "age,colour,label\n"
    "3,red,cat\n"
    "4.5,blue,dog\n"
    "-1e2,red,cat\n";
constexpr char kTestRows[] = "age,colour,label\n7,blue,cat\n";

absl::StatusOr<StoredSamples> Read(const std::string& train, const std::string& test = kTestRows,
                                   const TableOptions& options = {}) {
  absl::StatusOr<StoredSamples> samples = ReadTable(train, test, options, kMost);
  if (samples.ok()) {
    EXPECT_THAT(CheckSamples(*samples), IsOk());
  }
  return samples;
}

// A table of one feature and these labels.
std::string Labelled(const std::vector<std::string>& labels) {
  std::string text = "x,price\n";
  for (const std::string& label : labels) text += "1," + label + "\n";
  return text;
}

TEST(Table, NumbersAreFeaturesAndTextsAreOneForEachTextOfTrain) {
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read(kTrainRows));
  EXPECT_EQ(samples.spec.ToString(), "features float32 [3] -> classes");
  EXPECT_THAT(samples.class_names, ElementsAre("cat", "dog"));
  EXPECT_THAT(samples.labels, ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(samples.train, ElementsAre(0, 1, 2));
  EXPECT_THAT(samples.test, ElementsAre(3));
  EXPECT_THAT(NumbersOf<float>(samples, 0, 0, 3), ElementsAre(3, 0, 1)) << "blue, red";
  EXPECT_THAT(NumbersOf<float>(samples, 1, 0, 3), ElementsAre(4.5, 1, 0));
  EXPECT_THAT(NumbersOf<float>(samples, 2, 0, 3), ElementsAre(-100, 0, 1));
  EXPECT_THAT(NumbersOf<float>(samples, 3, 0, 3), ElementsAre(7, 1, 0));
}

TEST(Table, WhiteSpaceAroundCellsAndQuotesDoNotCount) {
  ASSERT_OK_AND_ASSIGN(const StoredSamples plain, Read(kTrainRows));
  ASSERT_OK_AND_ASSIGN(const StoredSamples other,
                       Read(" age,\" colour \",label \r\n3 ,\"red\", cat\r\n"
                            "\"4.5\",blue,\"dog\"\r\n-100,red,cat"));
  EXPECT_EQ(other.records, plain.records);
}

TEST(Table, TheLabelIsTheColumnOfThatNameOrTheOneToldOrTheLast) {
  ASSERT_OK_AND_ASSIGN(const StoredSamples named, Read("label,x\na,1\nb,2\n", "label,x\nb,3\n"));
  EXPECT_THAT(named.labels, ElementsAre(0, 1, 1));
  ASSERT_OK_AND_ASSIGN(const StoredSamples last, Read("x,kind\n1,a\n2,b\n", "x,kind\n3,b\n"));
  EXPECT_EQ(last.records, named.records);
  TableOptions options;
  options.label = "kind";
  ASSERT_OK_AND_ASSIGN(const StoredSamples told,
                       Read("kind,x\na,1\nb,2\n", "kind,x\nb,3\n", options));
  EXPECT_EQ(told.records, named.records);
  options.label = "kinds";
  EXPECT_THAT(Read("kind,x\na,1\n", "kind,x\nb,3\n", options),
              StatusIs(kInvalid, HasSubstr("dataset.json: label: unknown column \"kinds\"; did you "
                                           "mean \"kind\"?")));
}

TEST(Table, WholeNumbersAreClassesInTheirOrderAndOthersAreValues) {
  ASSERT_OK_AND_ASSIGN(const StoredSamples whole,
                       Read(Labelled({"10", "9", "-1"}), Labelled({"9"})));
  EXPECT_THAT(whole.class_names, ElementsAre("-1", "9", "10"));
  EXPECT_THAT(whole.labels, ElementsAre(2, 1, 0, 1));

  ASSERT_OK_AND_ASSIGN(const StoredSamples values, Read(Labelled({"10", "9.5"}), Labelled({"3"})));
  EXPECT_EQ(values.spec.ToString(), "features float32 [1] -> values");
  EXPECT_THAT(values.class_names, ElementsAre("price"));
  EXPECT_THAT(NumbersOf<float>(values, 1, 4, 1), ElementsAre(9.5));
  EXPECT_THAT(NumbersOf<float>(values, 2, 4, 1), ElementsAre(3));

  TableOptions options;
  options.answer = AnswerKind::kValues;
  ASSERT_OK_AND_ASSIGN(const StoredSamples told,
                       Read(Labelled({"10", "9"}), Labelled({"3"}), options));
  EXPECT_EQ(told.spec.answer.kind, AnswerKind::kValues);
  options.answer = AnswerKind::kClasses;
  ASSERT_OK_AND_ASSIGN(const StoredSamples names,
                       Read(Labelled({"10", "9.5", "n/a"}), Labelled({"n/a"}), options));
  EXPECT_THAT(names.class_names, ElementsAre("10", "9.5", "n/a"));
}

TEST(Table, MoreThan65536UnlikeWholeNumbersAreValues) {
  std::vector<std::string> labels;
  for (int i = 0; i < 65537; ++i) labels.push_back(std::to_string(i));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read(Labelled(labels), Labelled({"3"})));
  EXPECT_EQ(samples.spec.answer.kind, AnswerKind::kValues);
}

TEST(Table, LabelsOfNumbersAndTextsAreRefused) {
  EXPECT_THAT(
      Read(Labelled({"1", "2", "lots"}), Labelled({"1"})),
      StatusIs(kInvalid, AllOf(HasSubstr("train.csv:4: column price: \"lots\" is no number"),
                               HasSubstr("\"answer\": \"classes\""))));
  EXPECT_THAT(Read(Labelled({"1.5", "nan"}), Labelled({"1"})),
              StatusIs(kInvalid, HasSubstr("train.csv:3: column price: \"nan\" is no finite")));
  EXPECT_THAT(Read(Labelled({"1", ""}), Labelled({"1"})),
              StatusIs(kInvalid, HasSubstr("train.csv:3: column price: there is no label")));
  EXPECT_THAT(Read(Labelled({"a", "b"}), Labelled({"a", "c"})),
              StatusIs(kInvalid, HasSubstr("test.csv:3: column price: unknown class \"c\"")));
  EXPECT_THAT(Read(Labelled({"a", "a"}), Labelled({"a"})),
              StatusIs(kInvalid, HasSubstr("2 to 65536 classes")));
}

TEST(Table, ACellThatIsNoNumberIsRefusedWithItsLineAndColumn) {
  std::string train = "age,label\n3,a\n4,b\nabc,a\n";
  EXPECT_THAT(Read(train, "age,label\n1,a\n"),
              StatusIs(kInvalid, AllOf(HasSubstr("train.csv:4: column age: \"abc\" is no number"),
                                       HasSubstr("line 2 has one (3)"),
                                       HasSubstr("{\"categorical\": [\"age\"]}"))));
  EXPECT_THAT(Read("age,label\n3,a\n4,b\n", "age,label\n1,a\nabc,a\n"),
              StatusIs(kInvalid, HasSubstr("test.csv:3: column age: \"abc\" is no number")));
  EXPECT_THAT(Read("age,label\n3,a\n,b\n"),
              StatusIs(kInvalid, HasSubstr("train.csv:3: column age: the cell is empty")));
  EXPECT_THAT(Read("age,label\n3,a\n4,b\n", "age,label\n,a\n"),
              StatusIs(kInvalid, HasSubstr("test.csv:2: column age: the cell is empty")));
}

TEST(Table, NanAndInfinityAreRefused) {
  for (const char* const number : {"nan", "NaN", "inf", "-inf", "1e39", "1e999"}) {
    EXPECT_THAT(Read("age,label\n3,a\n" + std::string(number) + ",b\n", "age,label\n1,a\n"),
                StatusIs(kInvalid, HasSubstr("train.csv:3: column age: \"" + std::string(number) +
                                             "\" is no finite number")));
  }
}

TEST(Table, NumbersThatAreNamesAreDeclared) {
  TableOptions options;
  options.categorical = {"zip"};
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples,
                       Read("zip,label\n20,a\n3,b\n", "zip,label\n3,a\n", options));
  EXPECT_THAT(NumbersOf<float>(samples, 2, 0, 2), ElementsAre(0, 1)) << "20, 3: as bytes";
  EXPECT_THAT(Read("zip,label\n20,a\n3,b\n", "zip,label\n4,a\n", options),
              StatusIs(kInvalid, HasSubstr("test.csv:2: column zip: \"4\" is in no row of train")));
  options.categorical = {"zap"};
  EXPECT_THAT(Read("zip,label\n20,a\n", "zip,label\n4,a\n", options),
              StatusIs(kInvalid, HasSubstr("dataset.json: categorical: unknown column")));
}

TEST(Table, AColumnOfTooManyTextsIsRefused) {
  std::string train = "id,label\n";
  for (int i = 0; i < 1025; ++i) train += "n" + std::to_string(i) + (i % 2 == 0 ? ",a\n" : ",b\n");
  EXPECT_THAT(Read(train),
              StatusIs(kInvalid, HasSubstr("train.csv:1026: column id: more than 1024")));
}

TEST(Table, HeadersThatAreNoneAreRefusedWithTheWayOut) {
  EXPECT_THAT(Read(""), StatusIs(kInvalid, HasSubstr("train.csv:1: the file is empty")));
  EXPECT_THAT(Read("x,label\n"), StatusIs(kInvalid, HasSubstr("train.csv:1: there are columns' "
                                                              "names, and no row below them")));
  EXPECT_THAT(Read("1,2,3\n4,5,6\n"), StatusIs(kInvalid, HasSubstr("these are numbers")));
  EXPECT_THAT(Read(",x,label\n0,1,a\n"), StatusIs(kInvalid, HasSubstr("index=False")));
  EXPECT_THAT(Read("x,x,label\n0,1,a\n"), StatusIs(kInvalid, HasSubstr("two columns have the name "
                                                                       "\"x\"")));
  EXPECT_THAT(Read("x;label\n0;a\n"), StatusIs(kInvalid, HasSubstr("set apart by commas")));
  EXPECT_THAT(Read(kTrainRows, "colour,age,label\nred,1,cat\n"),
              StatusIs(kInvalid, HasSubstr("test.csv:1: other columns than in train.csv")));
}

TEST(Table, ARowOfAnotherLengthIsRefused) {
  EXPECT_THAT(Read("x,label\n1,a\n2\n"), StatusIs(kInvalid, HasSubstr("train.csv:3: 1 cells, there "
                                                                      "are 2 columns")));
  EXPECT_THAT(Read("x,label\n1,a\n2,b,c\n"), StatusIs(kInvalid, HasSubstr("3 cells")));
}

TEST(Table, MoreThanMayBeHeldIsRefused) {
  EXPECT_THAT(ReadTable(kTrainRows, kTestRows, {}, 4 * 12), IsOk());
  EXPECT_THAT(ReadTable(kTrainRows, kTestRows, {}, 4 * 12 - 1),
              StatusIs(kExhausted, HasSubstr("more than 3 samples of 12 bytes")));
}

}  // namespace
}  // namespace distillery

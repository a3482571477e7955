#include "common/data/csv.h"

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Rows = std::vector<std::vector<std::string>>;

absl::StatusOr<Rows> ReadAll(absl::string_view text, std::vector<int64_t>* lines = nullptr) {
  CsvReader reader(text, "train.csv");
  Rows rows;
  CsvRow row;
  while (true) {
    const absl::StatusOr<bool> found = reader.Next(&row);
    if (!found.ok()) return found.status();
    if (!*found) return rows;
    rows.push_back(row.cells);
    if (lines != nullptr) lines->push_back(row.line);
  }
}

TEST(CsvReader, CellsAreSetApartByCommasAndRowsByLineEnds) {
  ASSERT_OK_AND_ASSIGN(const Rows rows, ReadAll("a,b\n1,2\r\n,\n 3 ,4"));
  EXPECT_THAT(rows, ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2"), ElementsAre("", ""),
                                ElementsAre(" 3 ", "4")));
}

TEST(CsvReader, QuotedCellsHoldCommasQuotesAndLineEnds) {
  std::vector<int64_t> lines;
  ASSERT_OK_AND_ASSIGN(
      const Rows rows,
      ReadAll("\"a,b\",\"say \"\"hi\"\"\"\n\"two\r\nlines\",\"\"\n\nx,y\n", &lines));
  EXPECT_THAT(rows, ElementsAre(ElementsAre("a,b", "say \"hi\""), ElementsAre("two\r\nlines", ""),
                                ElementsAre("x", "y")));
  EXPECT_THAT(lines, ElementsAre(1, 2, 5)) << "the first line of each row, empty ones counted";
}

TEST(CsvReader, NothingAndEmptyLinesAreNoRows) {
  for (const char* const text : {"", "\n", "\r\n\n", "\r\n\r"}) {
    ASSERT_OK_AND_ASSIGN(const Rows rows, ReadAll(text));
    EXPECT_TRUE(rows.empty()) << text;
  }
}

TEST(CsvReader, QuotesThatDoNotFitAreRefusedWithTheirLine) {
  EXPECT_THAT(
      ReadAll("a,b\n1,\"2\n3\n"),
      StatusIs(kInvalid, HasSubstr("train.csv:2: a cell starts with a quote and has none")));
  EXPECT_THAT(ReadAll("a,b\n1,2\n3\"x,4\n"),
              StatusIs(kInvalid, HasSubstr("train.csv:3: a cell has a quote in its midst")));
  EXPECT_THAT(ReadAll("a,\"b\" \n"), StatusIs(kInvalid, HasSubstr("train.csv:1")));
}

TEST(CsvReader, ACarriageReturnEndsNoLineByItself) {
  for (const char* const text : {"a,b\r1,2\r", "a,b\r1,2", "a,x\ry"}) {
    EXPECT_THAT(ReadAll(text),
                StatusIs(kInvalid, HasSubstr("train.csv:1: a line ends in CR alone: save")));
  }
  EXPECT_THAT(ReadAll("a,b\n1,2\r3,4\n"), StatusIs(kInvalid, HasSubstr("train.csv:2: a line")));
  for (const char* const text : {"a\r\n1\r\n", "a\r\n1\r", "a\n\"1\"\r"}) {
    ASSERT_OK_AND_ASSIGN(const Rows rows, ReadAll(text));
    EXPECT_THAT(rows, ElementsAre(ElementsAre("a"), ElementsAre("1"))) << text;
  }
}

TEST(CsvReader, ARowOfTooManyCellsIsRefused) {
  EXPECT_THAT(ReadAll(std::string(kMaxCsvCells - 1, ',')), IsOk());
  EXPECT_THAT(ReadAll(std::string(kMaxCsvCells, ',')),
              StatusIs(kInvalid, HasSubstr("65536 cells")));
}

}  // namespace
}  // namespace distillery

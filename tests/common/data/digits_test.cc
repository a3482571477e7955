#include "common/data/digits.h"

#include <algorithm>
#include <set>

#include "common/base/checksum.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// 64 zeros and a label.
std::string Line(const std::string& label, const std::string& first = "0") {
  std::string line = first;
  for (int i = 1; i < 64; ++i) line += ",0";
  return line + "," + label;
}

TEST(Digits, HoldTheSamplesOfTheRepository) {
  ASSERT_OK_AND_ASSIGN(const StoredSamples digits, ReadBuiltInDigits());
  EXPECT_EQ(digits.size(), 1797);
  // optdigits.names, "Class Distribution", testing.
  std::vector<int> counts(10);
  for (const int32_t label : digits.labels) ++counts[label];
  EXPECT_THAT(counts, ElementsAre(178, 182, 177, 183, 181, 182, 181, 179, 174, 180));
  // The first line of the repository's file: 0,0,5,13,9,1,0,0,0,0,13,15,...,0
  const std::vector<int> first(digits.Record(0), digits.Record(0) + 12);
  EXPECT_THAT(first, ElementsAre(0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15));
  EXPECT_EQ(digits.labels[0], 0);
  EXPECT_EQ(*std::max_element(digits.records.begin(), digits.records.end()), digits.pixel_max());
}

TEST(Digits, SplitInto1400And397WithoutOverlap) {
  ASSERT_OK_AND_ASSIGN(const StoredSamples digits, ReadBuiltInDigits());
  EXPECT_EQ(digits.train.size(), 1400);
  EXPECT_EQ(digits.test.size(), 397);
  std::set<int64_t> all(digits.train.begin(), digits.train.end());
  all.insert(digits.test.begin(), digits.test.end());
  EXPECT_EQ(all.size(), 1797);
  EXPECT_EQ(*all.begin(), 0);
  EXPECT_EQ(*all.rbegin(), 1796);
}

TEST(Digits, EveryClassIsInBothSplits) {
  ASSERT_OK_AND_ASSIGN(const StoredSamples digits, ReadBuiltInDigits());
  for (const auto* const split : {&digits.train, &digits.test}) {
    std::set<int32_t> classes;
    for (const int64_t index : *split) classes.insert(digits.labels[index]);
    EXPECT_EQ(classes.size(), 10);
  }
}

TEST(ParseDigitsCsv, ReadsPixelsAndLabel) {
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples,
                       ParseDigitsCsv(Line("9", "16") + "\n" + Line("0") + "\n"));
  EXPECT_THAT(samples.labels, ElementsAre(9, 0));
  EXPECT_EQ(samples.records.size(), 128);
  EXPECT_EQ(samples.records[0], 16);
}

TEST(ParseDigitsCsv, NamesTheLineThatIsWrong) {
  const auto refused = StatusIs(absl::StatusCode::kDataLoss, HasSubstr("line 2"));
  for (const std::string& bad : {Line("10"), Line("-1"), Line("x"), Line("1", "17"), Line("1", ""),
                                 Line("1") + ",1", std::string("1,2,3")}) {
    EXPECT_THAT(ParseDigitsCsv(Line("1") + "\n" + bad), refused) << bad;
  }
}

}  // namespace
}  // namespace distillery

#include "teacher_service/teachers/padded_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace distillery {
namespace {

using ::testing::ElementsAre;

TEST(PaddedBatch, SizesDoubleUpToTheLargest) {
  EXPECT_THAT(PaddedSizes({8}), ElementsAre(1, 2, 4, 8));
  EXPECT_THAT(PaddedSizes({1}), ElementsAre(1));
  EXPECT_THAT(PaddedSizes({10, 3}), ElementsAre(1, 2, 3, 4, 8, 10));
  EXPECT_THAT(PaddedSizes({4, 4}), ElementsAre(1, 2, 4));
}

TEST(PaddedBatch, ABatchTakesTheSmallestSizeThatHoldsIt) {
  const std::vector<int64_t> sizes = PaddedSizes({100, 256});
  EXPECT_EQ(PaddedRows(1, sizes), 1);
  EXPECT_EQ(PaddedRows(3, sizes), 4);
  EXPECT_EQ(PaddedRows(65, sizes), 100);
  EXPECT_EQ(PaddedRows(100, sizes), 100);  // a cut is not padded
  EXPECT_EQ(PaddedRows(101, sizes), 128);
  EXPECT_EQ(PaddedRows(256, sizes), 256);
  EXPECT_EQ(PaddedRows(257, sizes), 0);
}

TEST(PaddedBatch, LessThanHalfIsPadding) {
  const std::vector<int64_t> sizes = PaddedSizes({300});
  for (int64_t rows = 1; rows <= 300; ++rows) {
    const int64_t padded = PaddedRows(rows, sizes);
    EXPECT_GE(padded, rows);
    EXPECT_LT(padded - rows, padded / 2.0) << rows;
  }
}

}  // namespace
}  // namespace distillery

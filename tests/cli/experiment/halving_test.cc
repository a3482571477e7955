#include "cli/experiment/halving.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace distillery {
namespace {

using ::testing::ElementsAre;

TEST(HalvingTest, TheBetterHalfIsKeptBestFirst) {
  EXPECT_THAT(BetterHalf({{5, 0}, {1, 0}, {9, 0}, {3, 0}}), ElementsAre(1, 3));
}

TEST(HalvingTest, OfAnOddNumberTheMiddleIsKept) {
  EXPECT_THAT(BetterHalf({{5, 0}, {1, 0}, {9, 0}}), ElementsAre(1, 0));
}

TEST(HalvingTest, EqualErrorsGoByCrossEntropyThenByPlace) {
  EXPECT_THAT(BetterHalf({{5, 0.4}, {5, 0.2}, {5, 0.4}, {5, 0.9}}), ElementsAre(1, 0));
}

TEST(HalvingTest, RoundsDoubleUntilOneIsLeft) {
  // 28, 14, 7, 4, 2 candidates.
  EXPECT_THAT(HalvingRounds(28), ElementsAre(1, 2, 4, 8, 16));
  EXPECT_THAT(HalvingRounds(2), ElementsAre(1));
}

}  // namespace
}  // namespace distillery

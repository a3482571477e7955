#include "common/base/shape.h"

#include <limits>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();

TEST(CheckedElementCount, MultipliesTheSizes) {
  EXPECT_EQ(*CheckedElementCount({2, 3, 4}, 24), 24);
  EXPECT_EQ(*CheckedElementCount({}, 1), 1);
}

TEST(CheckedElementCount, Fault38_ShapesThatCannotBeAreRefused) {
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(CheckedElementCount({int64_t{1} << 31, int64_t{1} << 31, 2}, kLargest), refused);
  EXPECT_THAT(CheckedElementCount({-1}, 100), refused);
  EXPECT_THAT(CheckedElementCount({0}, 100), refused);
  EXPECT_THAT(CheckedElementCount({-1, -1}, 100, /*zero_allowed=*/true), refused);
  EXPECT_THAT(CheckedElementCount(std::vector<int64_t>(65, 1), 100), refused);
  EXPECT_THAT(CheckedElementCount({5, 5}, 24), refused);
}

TEST(PlaceIn, CountsTheLastSizeFastest) {
  EXPECT_EQ(PlaceIn({2, 3}, 0), "[0, 0]");
  EXPECT_EQ(PlaceIn({2, 3}, 5), "[1, 2]");
  EXPECT_EQ(PlaceIn({7}, 6), "[6]");
  EXPECT_EQ(PlaceIn({}, 0), "");
}

TEST(CheckedElementCount, ZeroIsASizeWhereItIsAllowed) {
  EXPECT_EQ(*CheckedElementCount({3, 0}, 24, /*zero_allowed=*/true), 0);
}

}  // namespace
}  // namespace distillery

#include "common/data/augmentation.h"

#include <algorithm>
#include <set>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

using Picture = std::vector<uint8_t>;

// Two channels of 5 x 7: one bright pixel at (row 2, column 3) of each, 200 and 100.
constexpr ImageShape kShape{2, 5, 7};
Picture TwoPoints() {
  Picture picture(70);
  picture[2 * 7 + 3] = 200;
  picture[35 + 2 * 7 + 3] = 100;
  return picture;
}

Picture Seen(const std::string& augmentation, const Picture& picture, int64_t seed, int64_t index,
             int64_t view, const ImageShape& shape = kShape) {
  Picture output(picture.size(), 77);
  Augmentation::Parse(augmentation)->Apply(shape, picture.data(), seed, index, view, output.data());
  return output;
}

TEST(Augmentation, ParsesItsNames) {
  EXPECT_TRUE(Augmentation::Parse("none")->identity());
  EXPECT_TRUE(Augmentation::Parse("")->identity());
  EXPECT_FALSE(Augmentation::Parse("jitter:1")->identity());
  EXPECT_THAT(Augmentation::Parse("jitter:8"), IsOk());
}

TEST(Augmentation, RefusesOtherNames) {
  for (const char* const bad : {"jitter:0", "jitter:9", "jitter:", "jitter:x", "jitter:-1",
                                "jitter:1.5", "jitter:99999999999999999999"}) {
    EXPECT_THAT(Augmentation::Parse(bad), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
  }
  EXPECT_THAT(Augmentation::Parse("nine"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("did you mean \"none\"")));
}

TEST(Augmentation, NoneLeavesThePictureAsItIs) {
  EXPECT_EQ(Seen("none", TwoPoints(), 1, 2, 3), TwoPoints());
}

TEST(Augmentation, IsAFunctionOfSeedIndexAndView) {
  EXPECT_EQ(Seen("jitter:2", TwoPoints(), 1, 2, 3), Seen("jitter:2", TwoPoints(), 1, 2, 3));
  // Which of the 25 shifts comes is up to the generator: over many each part must matter.
  const auto differ = [](int64_t seed, int64_t index, int64_t view) {
    int count = 0;
    for (int64_t i = 0; i < 100; ++i) {
      count += Seen("jitter:2", TwoPoints(), 1, 2, i) !=
               Seen("jitter:2", TwoPoints(), 1 + seed, 2 + index, i + view);
    }
    return count;
  };
  EXPECT_EQ(differ(0, 0, 0), 0);
  EXPECT_GT(differ(1, 0, 0), 80);  // 96 expected
  EXPECT_GT(differ(0, 1, 0), 80);
  EXPECT_GT(differ(0, 0, 1), 80);
}

TEST(Augmentation, EveryShiftComesAndMovesAllChannelsAlike) {
  std::set<int64_t> places;
  for (int64_t view = 0; view < 200; ++view) {
    const Picture seen = Seen("jitter:1", TwoPoints(), 1, 0, view);
    const int64_t place = std::find(seen.begin(), seen.end(), 200) - seen.begin();
    ASSERT_LT(place, 35);
    places.insert(place);
    Picture expected(70);
    expected[place] = 200;
    expected[35 + place] = 100;
    EXPECT_EQ(seen, expected) << "and what is shifted in is 0";
  }
  // Rows 1 to 3, columns 2 to 4.
  EXPECT_EQ(places, (std::set<int64_t>{9, 10, 11, 16, 17, 18, 23, 24, 25}));
}

TEST(Augmentation, ShiftsBeyondASmallPictureLeaveNothing) {
  const ImageShape small{1, 2, 2};
  std::set<Picture> seen;
  for (int64_t view = 0; view < 200; ++view) {
    seen.insert(Seen("jitter:8", {1, 2, 3, 4}, 1, 0, view, small));
  }
  EXPECT_EQ(seen.count(Picture(4)), 1);
  // All 9 shifts that leave a part: the whole, 4 halves, 4 corners; and nothing.
  EXPECT_LE(seen.size(), 10);
}

}  // namespace
}  // namespace distillery

#include "common/data/image.h"

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Image, ChannelsLieOneAfterTheOther) {
  // Two pixels: red 1, green 2, blue 3 and 4, 5, 6.
  const uint8_t interleaved[] = {1, 2, 3, 4, 5, 6};
  const Image image = FromInterleaved({3, 1, 2}, interleaved);
  EXPECT_THAT(image.pixels, ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(ToInterleaved(image), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Image, ColourBecomesGreyByItsLuma) {
  // 0.299 * 255 = 76.2, 0.587 * 255 = 149.7, 0.114 * 255 = 29.1, all of them 255.
  const Image image{{3, 1, 4}, {255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255}};
  const Image grey = WithChannels(image, 1);
  EXPECT_EQ(grey.shape, (ImageShape{1, 1, 4}));
  EXPECT_THAT(grey.pixels, ElementsAre(76, 150, 29, 255));
}

TEST(Image, GreyBecomesColourByRepeatingIt) {
  const Image colour = WithChannels({{1, 1, 2}, {7, 9}}, 3);
  EXPECT_EQ(colour.shape, (ImageShape{3, 1, 2}));
  EXPECT_THAT(colour.pixels, ElementsAre(7, 9, 7, 9, 7, 9));
}

TEST(Image, ChannelsThatAreThereStay) {
  EXPECT_THAT(WithChannels({{1, 1, 2}, {7, 9}}, 1).pixels, ElementsAre(7, 9));
  EXPECT_EQ(WithChannels({{3, 1, 1}, {1, 2, 3}}, 0).shape.channels, 3);
}

TEST(CheckImageSize, BoundsEachSideAndTheProduct) {
  EXPECT_THAT(CheckImageSize(1, 65535, "x"), IsOk());
  EXPECT_THAT(CheckImageSize(8192, 8192, "x"), IsOk());
  for (const auto& [height, width] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 65536}, {8192, 8193}, {int64_t{1} << 62, 4}}) {
    EXPECT_THAT(CheckImageSize(height, width, "big.png"),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         AllOf(HasSubstr("big.png"), HasSubstr(std::to_string(width)))));
  }
}

TEST(CheckImageSize, NoPixelsAreDataLoss) {
  for (const auto& [height, width] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {1, 0}, {-1, -1}, {0, 65536}}) {
    EXPECT_THAT(CheckImageSize(height, width, "void.png"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("void.png has no pixels")));
  }
}

TEST(CheckImage, RefusesWhatIsNoImage) {
  EXPECT_THAT(CheckImage({{1, 1, 2}, {1, 2}}), IsOk());
  EXPECT_THAT(CheckImage({{1, 1, 2}, {1}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("holds 1 values")));
  EXPECT_THAT(CheckImage({{2, 1, 1}, {1, 2}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not 2")));
  EXPECT_THAT(CheckImage({{1, 0, 0}, {}}), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distillery

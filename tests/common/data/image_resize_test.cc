#include "common/data/image_resize.h"

#include "tests/common/data/image_files.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

std::vector<uint8_t> Resized(const Image& image, int64_t height, int64_t width) {
  const absl::StatusOr<Image> result = Resize(image, height, width);
  EXPECT_THAT(result, IsOk());
  if (!result.ok()) return {};
  EXPECT_EQ(result->shape, (ImageShape{image.shape.channels, height, width}));
  return result->pixels;
}

TEST(Resize, TheSameSizeIsTheSameImage) {
  const Image image{{1, 2, 2}, {1, 2, 3, 250}};
  EXPECT_EQ(Resized(image, 2, 2), image.pixels);
}

TEST(Resize, ShrinkingTakesTheMeanOfTheArea) {
  // (10 + 20 + 30 + 41) / 4 = 25.25
  EXPECT_THAT(Resized({{1, 2, 2}, {10, 20, 30, 41}}, 1, 1), ElementsAre(25));
  // The first covers one and a half: (0 * 2 + 30) / 3 = 10, the second (30 + 60 * 2) / 3 = 50.
  EXPECT_THAT(Resized({{1, 1, 3}, {0, 30, 60}}, 1, 2), ElementsAre(10, 50));
  EXPECT_THAT(Resized({{1, 3, 1}, {0, 30, 60}}, 2, 1), ElementsAre(10, 50));
}

TEST(Resize, HalvesAreRoundedUpwards) {
  EXPECT_THAT(Resized({{1, 1, 2}, {0, 1}}, 1, 1), ElementsAre(1));
  EXPECT_THAT(Resized({{1, 1, 4}, {0, 0, 0, 1}}, 1, 1), ElementsAre(0));
}

TEST(Resize, GrowingGoesLinearlyBetweenCentres) {
  // Centres of the new pixels at -0.25, 0.25, 0.75 and 1.25 old ones.
  EXPECT_THAT(Resized({{1, 1, 2}, {0, 100}}, 1, 4), ElementsAre(0, 25, 75, 100));
  // At -1/6, 1/2 and 7/6.
  EXPECT_THAT(Resized({{1, 2, 1}, {0, 100}}, 3, 1), ElementsAre(0, 50, 100));
  EXPECT_THAT(Resized({{1, 1, 1}, {9}}, 2, 2), ElementsAre(9, 9, 9, 9));
}

TEST(Resize, EachDirectionIsOnItsOwn) {
  // The rows' mean, {50, 150}, then four across.
  EXPECT_THAT(Resized({{1, 2, 2}, {0, 100, 100, 200}}, 1, 4), ElementsAre(50, 75, 125, 150));
}

TEST(Resize, ChannelsDoNotMix) {
  EXPECT_THAT(Resized({{3, 1, 2}, {0, 10, 100, 110, 200, 210}}, 1, 1), ElementsAre(5, 105, 205));
}

TEST(Resize, PlainImagesStayPlain) {
  const Image image = PlainImage({1, 37, 53}, 255);
  for (const auto& [height, width] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {36, 54}, {7, 201}, {100, 100}, {37, 11}}) {
    EXPECT_THAT(Resized(image, height, width), Each(255)) << height << " x " << width;
  }
}

TEST(Resize, TheLongestSidesDoNotOverflow) {
  EXPECT_THAT(Resized(PlainImage({1, 65535, 1}, 255), 1, 65535), Each(255));
}

TEST(Resize, RefusesSizesOutOfBounds) {
  const Image image = PlainImage({1, 2, 2}, 1);
  for (const auto& [height, width] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {1, -1}, {65536, 1}, {65535, 65535}}) {
    EXPECT_THAT(Resize(image, height, width), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(Resize({{1, 2, 2}, {1}}, 1, 1), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distillery

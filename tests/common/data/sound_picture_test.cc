#include "common/data/sound_picture.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

SampleSpec Floats(const std::vector<int64_t>& shape) {
  SampleSpec spec;
  spec.inputs = {{"audio", ElementType::kFloat32, shape, 0, 0}};
  return spec;
}

TEST(SoundPicture, SoundAndSpectrogramsAreKnownByTheirShape) {
  EXPECT_TRUE(IsSound(Floats({1, 64})));
  EXPECT_TRUE(IsSound(Floats({1, 4, 9})));
  EXPECT_FALSE(IsSound(Floats({1, 63})));
  EXPECT_FALSE(IsSound(Floats({64})));
  EXPECT_FALSE(IsSound(Floats({2, 64})));
  EXPECT_FALSE(IsSound(SampleSpec::Pictures({1, 8, 8}, 255)));
}

TEST(SoundPicture, ASpectrogramHasItsLowBandsBelow) {
  const std::vector<float> values = {0, -6, -12, -13, -20, -3};
  const Image picture = DrawSound(Floats({1, 2, 3}), values.data());
  EXPECT_EQ(picture.shape, (ImageShape{1, 2, 3}));
  EXPECT_EQ(picture.pixels, (std::vector<uint8_t>{255, 255, 64, 0, 128, 255}));
}

TEST(SoundPicture, SoundOfAnyLengthFitsItsPicture) {
  for (const int64_t length : {64, 65, 300, 512, 700, 8000, 100'000, 3'000'000}) {
    std::vector<float> sound(static_cast<size_t>(length));
    for (size_t i = 0; i < sound.size(); ++i) sound[i] = std::sin(static_cast<float>(i) * 0.3F) / 4;
    const SampleSpec spec = Floats({1, length});
    const Image picture = DrawSound(spec, sound.data());
    EXPECT_EQ(picture.shape, SoundPictureShape(spec));
    ASSERT_EQ(static_cast<int64_t>(picture.pixels.size()), picture.shape.size());
    // The wave reaches the top, and somewhere below it is loud.
    const auto row = [&](int64_t y) {
      const auto first = picture.pixels.begin() + y * picture.shape.width;
      return std::count(first, first + picture.shape.width, 0);
    };
    EXPECT_GT(row(0), 0) << length;
    EXPECT_GT(
        std::count(picture.pixels.begin() + 48 * picture.shape.width, picture.pixels.end(), 0), 0)
        << length;
  }
}

TEST(SoundPicture, SilenceIsALine) {
  const std::vector<float> sound(64, 0.0F);
  const Image picture = DrawSound(Floats({1, 64}), sound.data());
  EXPECT_EQ(std::count(picture.pixels.begin(), picture.pixels.begin() + 48 * 64, 0), 64);
}

}  // namespace
}  // namespace distillery

#include "common/data/picture_change.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "common/data/augmentation.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using Picture = std::vector<uint8_t>;

const char* const kParts[] = {"resized_crop", "resized_crop:8",     "affine:15",
                              "elastic:3",    "affine:0,3,20,9",    "color:40,40,40,90",
                              "erase:100",    "affine:180,32,90,45"};
const ImageShape kShapes[] = {{1, 1, 1}, {3, 3, 5}, {1, 28, 28}, {3, 32, 17}, {2, 1, 40}};

Picture Pattern(const ImageShape& shape, int pixel_max) {
  Picture picture(static_cast<size_t>(shape.size()));
  for (size_t i = 0; i < picture.size(); ++i) {
    picture[i] = static_cast<uint8_t>((i * 37 + i / 7) % static_cast<size_t>(pixel_max + 1));
  }
  return picture;
}

Picture Seen(const std::string& text, const Picture& picture, const ImageShape& shape, int64_t seed,
             int64_t index, int64_t view, int pixel_max = 255) {
  Picture output(picture.size(), 77);
  Augmentation::Parse(text)->Apply(shape, picture.data(), seed, index, view, output.data(),
                                   pixel_max);
  return output;
}

TEST(PictureChange, IsAFunctionOfSeedIndexAndView) {
  const ImageShape shape{3, 32, 17};
  const Picture picture = Pattern(shape, 255);
  for (const char* const part : kParts) {
    EXPECT_EQ(Seen(part, picture, shape, 1, 2, 3), Seen(part, picture, shape, 1, 2, 3)) << part;
    std::set<Picture> seen;
    for (int64_t i = 0; i < 10; ++i) {
      seen.insert(Seen(part, picture, shape, 1, 2, i));
      seen.insert(Seen(part, picture, shape, 1, 100 + i, 2));
      seen.insert(Seen(part, picture, shape, 100 + i, 2, 2));
    }
    EXPECT_GE(seen.size(), 10U) << part;
  }
}

TEST(PictureChange, ValuesStayInRangeInPicturesOfAnySize) {
  for (const ImageShape& shape : kShapes) {
    for (const int pixel_max : {1, 16, 255}) {
      const Picture picture = Pattern(shape, pixel_max);
      for (const char* const part : kParts) {
        for (int64_t view = 0; view < 20; ++view) {
          const Picture seen = Seen(part, picture, shape, 1, 2, view, pixel_max);
          ASSERT_LE(*std::max_element(seen.begin(), seen.end()), pixel_max) << part;
        }
      }
    }
  }
}

TEST(PictureChange, OfNoStrengthIsTheIdentity) {
  for (const ImageShape& shape : kShapes) {
    const Picture picture = Pattern(shape, 255);
    for (const char* const part : {"affine:0", "elastic:0", "color:0", "erase:0"}) {
      for (int64_t view = 0; view < 5; ++view) {
        EXPECT_EQ(Seen(part, picture, shape, 1, 2, view), picture) << part;
      }
    }
  }
}

TEST(PictureChange, CompositionIsItsPartsOneAfterTheOther) {
  const ImageShape shape{3, 9, 12};
  for (int64_t view = 0; view < 30; ++view) {
    Picture expected = Pattern(shape, 255);
    for (const char* const part : {"crop:2", "affine:20", "flip", "color:30,30"}) {
      expected = Seen(part, expected, shape, 5, 6, view);
    }
    EXPECT_EQ(Seen("crop:2+affine:20+flip+color:30,30", Pattern(shape, 255), shape, 5, 6, view),
              expected);
  }
}

TEST(PictureChange, GreysStayGreyUnderHueAndSaturation) {
  const ImageShape shape{3, 4, 4};
  Picture grey(48);
  for (size_t i = 0; i < grey.size(); ++i) grey[i] = static_cast<uint8_t>(i % 16 * 16);
  for (int64_t view = 0; view < 20; ++view) {
    const Picture seen = Seen("color:0,0,100,180", grey, shape, 1, 1, view);
    for (size_t i = 0; i < 48; ++i) EXPECT_NEAR(seen[i], grey[i], 1);
  }
}

TEST(PictureChange, ErasesBetweenOneAndAHundredthAndAThirdOfThePicture) {
  const ImageShape shape{1, 50, 50};
  const Picture picture(2500, 200);
  int64_t whole = 0;
  for (int64_t view = 0; view < 200; ++view) {
    const Picture seen = Seen("erase", picture, shape, 1, 1, view);
    const auto kept = std::count(seen.begin(), seen.end(), 200);
    whole += kept == 2500 ? 1 : 0;
    EXPECT_GT(kept, 2500 * 63 / 100);
  }
  EXPECT_GT(whole, 70);
  EXPECT_LT(whole, 130);
}

TEST(PictureChange, PartsHaveOneTextAndNamedRanges) {
  const std::pair<const char*, const char*> cases[] = {
      {"resized_crop", "resized_crop"},
      {"resized_crop:35", "resized_crop"},
      {"resized_crop:8", "resized_crop:8"},
      {"affine:15,0,0,0", "affine:15"},
      {"affine:0,2,10", "affine:0,2,10"},
      {"color:40,0,40", "color:40,0,40"},
      {"erase:50", "erase"},
      {"erase:0", "erase:0"},
  };
  for (const auto& [text, canonical] : cases) {
    EXPECT_EQ(Augmentation::Parse(text)->ToString(), canonical);
  }
  for (const char* const wrong :
       {"affine", "affine:", "affine:181", "affine:1,2,3,4,5", "affine:1,", "color:101",
        "erase:", "resized_crop:0", "elastic:17"}) {
    EXPECT_THAT(Augmentation::Parse(wrong),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be ")))
        << wrong;
  }
}

}  // namespace
}  // namespace distillery

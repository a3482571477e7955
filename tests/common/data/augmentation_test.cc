#include "common/data/augmentation.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/checksum.h"
#include "common/base/philox.h"
#include "common/data/digits.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
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

// Pixels that all differ from their neighbours, none 0.
Picture Pattern(const ImageShape& shape) {
  Picture picture(static_cast<size_t>(shape.size()));
  for (size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<uint8_t>(1 + i % 251);
  return picture;
}

Picture Seen(const std::string& augmentation, const Picture& picture, int64_t seed, int64_t index,
             int64_t view, const ImageShape& shape = kShape) {
  Picture output(picture.size(), 77);
  Augmentation::Parse(augmentation)->Apply(shape, picture.data(), seed, index, view, output.data());
  return output;
}

// The first view of (seed 1, index 0) in which crop:1 and jitter:1 cut or shift as asked and flip
// mirrors or not, by the streams that the parts are to draw from.
struct Draws {
  int64_t crop_down = 0;
  int64_t crop_right = 0;
  int64_t jitter_right = 0;
  bool flip = false;
};
int64_t ViewWith(const Draws& wanted) {
  for (uint64_t view = 0;; ++view) {
    RandomStream crop(1, "crop", 0, view);
    const int64_t top = static_cast<int64_t>(crop.Below(3));  // in the padded picture
    const int64_t left = static_cast<int64_t>(crop.Below(3));
    RandomStream jitter(1, "jitter", 0, view);
    const int64_t down = static_cast<int64_t>(jitter.Below(3)) - 1;
    const int64_t right = static_cast<int64_t>(jitter.Below(3)) - 1;
    const bool flip = RandomStream(1, "flip", 0, view).Below(2) == 1;
    if (std::tie(top, left, down, right, flip) ==
        std::make_tuple(1 - wanted.crop_down, 1 - wanted.crop_right, 0, wanted.jitter_right,
                        wanted.flip)) {
      return static_cast<int64_t>(view);
    }
  }
}

TEST(Augmentation, ParsesItsNamesToOneText) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "none"},
      {"none", "none"},
      {"jitter:1", "jitter:1"},
      {"jitter:8", "jitter:8"},
      {"jitter:02", "jitter:2"},
      {"crop:1", "crop:1"},
      {"crop:32", "crop:32"},
      {"flip", "flip"},
      {"crop:4+flip", "crop:4+flip"},
      {"flip+crop:4", "flip+crop:4"},
      {"flip+jitter:2+crop:32", "flip+jitter:2+crop:32"},
  };
  for (const auto& [text, canonical] : cases) {
    ASSERT_OK_AND_ASSIGN(const Augmentation augmentation, Augmentation::Parse(text));
    EXPECT_EQ(augmentation.ToString(), canonical);
    EXPECT_EQ(Augmentation::Parse(augmentation.ToString())->ToString(), canonical);
  }
  EXPECT_EQ(Augmentation().ToString(), "none");
}

TEST(Augmentation, NoneAloneIsTheIdentity) {
  for (const char* const text : {"", "none"}) EXPECT_TRUE(Augmentation::Parse(text)->identity());
  for (const char* const text : {"jitter:1", "crop:1", "flip", "crop:1+flip"}) {
    EXPECT_FALSE(Augmentation::Parse(text)->identity()) << text;
  }
  EXPECT_EQ(Seen("none", TwoPoints(), 1, 2, 3), TwoPoints());
  EXPECT_EQ(Seen("", TwoPoints(), 1, 2, 3), TwoPoints());
}

TEST(Augmentation, ErrorsNameThePartAndTheWayOut) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"jitter:0", "\"jitter:0\"", "jitter:N with N pixels, 1 to 8"},
      {"jitter:9", "\"jitter:9\"", "1 to 8"},
      {"jitter:", "\"jitter:\"", "1 to 8"},
      {"jitter", "\"jitter\"", "1 to 8"},
      {"jitter:x", "\"jitter:x\"", "1 to 8"},
      {"jitter:-1", "\"jitter:-1\"", "1 to 8"},
      {"jitter: 1", "\"jitter: 1\"", "1 to 8"},
      {"jitter:1.5", "\"jitter:1.5\"", "1 to 8"},
      {"jitter:1:2", "\"jitter:1:2\"", "1 to 8"},
      {"jitter:99999999999999999999", "\"jitter:99999999999999999999\"", "1 to 8"},
      {"crop:0", "\"crop:0\"", "crop:N with N pixels, 1 to 32"},
      {"crop:33", "\"crop:33\"", "1 to 32"},
      {"crop", "\"crop\"", "1 to 32"},
      {"flip:1", "\"flip:1\"", "takes no number: write flip"},
      {"flip:", "\"flip:\"", "takes no number"},
      {"crop:4+jitter:9+flip", "\"jitter:9\"", "1 to 8"},
      {"none+flip", "\"none\"", "stands alone"},
      {"flip+none", "\"none\"", "stands alone"},
      {"none:1", "\"none:1\"", "stands alone"},
      {"flip+crop:4+flip", "\"flip+crop:4+flip\"", "has flip twice"},
      {"crop:4+crop:2", "\"crop:4+crop:2\"", "has crop twice"},
      {"flip+flip+flip+flip+flip", "\"flip+flip+flip+flip+flip\"", "more than 4 parts"},
      {"nine", "\"nine\"", "did you mean \"none\""},
      {"flipp", "\"flipp\"", "did you mean \"flip\""},
      {"crop:4+krop:12", "\"krop\"", "did you mean \"crop\""},
      {"jiter:2", "\"jiter\"", "did you mean \"jitter\""},
      {"Flip", "\"Flip\"", "did you mean \"flip\""},
      {"rotate:90", "\"rotate\"", "known: none, jitter, crop, flip"},
      {"+", "\"\"", "known: none, jitter, crop, flip"},
      {"flip+", "\"\"", "known: "},
      {"+flip", "\"\"", "known: "},
      {"crop:4 +flip", "\"crop:4 \"", "1 to 32"},
      {" none", "\" none\"", "did you mean \"none\""},
  };
  for (const auto& [text, part, way_out] : cases) {
    EXPECT_THAT(Augmentation::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(absl::StrCat("augmentation ", part)), HasSubstr(way_out))))
        << text;
  }
}

TEST(Augmentation, ErrorsStayShortAndPrintable) {
  for (const std::string start : {"", "jitter:", "flip:", "none:", "flip+", "flip+flip+x+x+"}) {
    for (const char filler : {'9', '+', '\0', '\n'}) {
      const absl::Status status =
          Augmentation::Parse(start + std::string(1 << 20, filler)).status();
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
      EXPECT_LT(status.message().size(), 512U);
      EXPECT_EQ(status.message().find_first_of(absl::string_view("\0\n", 2)),
                absl::string_view::npos);
    }
  }
}

TEST(Augmentation, IsAFunctionOfSeedIndexAndView) {
  // Views that agree though a part of their key differs: 1 in 25 shifts, 1 in 162 cuts with flip.
  for (const char* const augmentation : {"jitter:2", "crop:4+flip"}) {
    const Picture picture = Pattern(kShape);
    EXPECT_EQ(Seen(augmentation, picture, 1, 2, 3), Seen(augmentation, picture, 1, 2, 3));
    const auto differ = [&](int64_t seed, int64_t index, int64_t view) {
      int count = 0;
      for (int64_t i = 0; i < 100; ++i) {
        count += Seen(augmentation, picture, 1, 2, i) !=
                 Seen(augmentation, picture, 1 + seed, 2 + index, i + view);
      }
      return count;
    };
    EXPECT_EQ(differ(0, 0, 0), 0);
    EXPECT_GT(differ(1, 0, 0), 80);  // 96 and more expected
    EXPECT_GT(differ(0, 1, 0), 80);
    EXPECT_GT(differ(0, 0, 1), 80);
  }
}

TEST(Augmentation, EveryShiftComesAndMovesAllChannelsAlike) {
  for (const char* const augmentation : {"jitter:1", "crop:1"}) {
    std::set<int64_t> places;
    for (int64_t view = 0; view < 200; ++view) {
      const Picture seen = Seen(augmentation, TwoPoints(), 1, 0, view);
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
}

TEST(Augmentation, ShiftsBeyondASmallPictureLeaveNothing) {
  const ImageShape small{1, 2, 2};
  for (const char* const augmentation : {"jitter:8", "crop:32", "crop:32+flip+jitter:8"}) {
    std::set<Picture> seen;
    for (int64_t view = 0; view < 200; ++view) {
      seen.insert(Seen(augmentation, {1, 2, 3, 4}, 1, 0, view, small));
    }
    EXPECT_EQ(seen.count(Picture(4)), 1);
  }
}

TEST(Augmentation, CropCutsAnyPlaceOfThePaddedPicture) {
  // 0 0 0 0
  // 0 1 2 0
  // 0 3 4 0
  // 0 0 0 0
  const std::set<Picture> cuts = {{0, 0, 0, 1}, {0, 0, 1, 2}, {0, 0, 2, 0},
                                  {0, 1, 0, 3}, {1, 2, 3, 4}, {2, 0, 4, 0},
                                  {0, 3, 0, 0}, {3, 4, 0, 0}, {4, 0, 0, 0}};
  std::set<Picture> seen;
  for (int64_t view = 0; view < 200; ++view) {
    seen.insert(Seen("crop:1", {1, 2, 3, 4}, 1, 0, view, {1, 2, 2}));
  }
  EXPECT_EQ(seen, cuts);
  const auto cut = [](int64_t down, int64_t right) {
    return Seen("crop:1", {1, 2, 3, 4}, 1, 0, ViewWith({down, right}), {1, 2, 2});
  };
  // A cut from the top left corner shows the picture lower and further right.
  EXPECT_EQ(cut(1, 1), (Picture{0, 0, 0, 1}));
  EXPECT_EQ(cut(1, 0), (Picture{0, 0, 1, 2}));
  EXPECT_EQ(cut(0, -1), (Picture{2, 0, 4, 0}));
}

TEST(Augmentation, FlipMirrorsTheRowsOfEachChannel) {
  const ImageShape shape{2, 2, 3};
  const Picture picture = {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16};
  const Picture mirrored = {3, 2, 1, 6, 5, 4, 13, 12, 11, 16, 15, 14};
  Draws draws;
  EXPECT_EQ(Seen("flip", picture, 1, 0, ViewWith(draws), shape), picture);
  draws.flip = true;
  EXPECT_EQ(Seen("flip", picture, 1, 0, ViewWith(draws), shape), mirrored);
}

TEST(Augmentation, FlipMirrorsRowsOfAnyWidth) {
  for (int64_t width = 1; width <= 40; ++width) {
    const ImageShape shape{1, 2, width};
    const Picture picture = Pattern(shape);
    Picture mirrored = picture;
    std::reverse(mirrored.begin(), mirrored.begin() + width);
    std::reverse(mirrored.begin() + width, mirrored.end());
    EXPECT_EQ(Seen("flip", picture, 1, 0, ViewWith({0, 0, 0, true}), shape), mirrored) << width;
  }
}

TEST(Augmentation, HalfOfTheSamplesAreFlipped) {
  int flipped = 0;
  for (int64_t index = 0; index < 1000; ++index) {
    flipped += Seen("flip", {1, 2}, 1, index, 0, {1, 1, 2}) == Picture{2, 1};
  }
  EXPECT_GT(flipped, 400);  // deviation 16
  EXPECT_LT(flipped, 600);
}

TEST(Augmentation, EveryCutComesAmongAThousandSamples) {
  const ImageShape shape{1, 9, 9};
  Picture point(81);
  point[4 * 9 + 4] = 1;
  std::set<int64_t> places;
  for (int64_t index = 0; index < 1000; ++index) {
    const Picture seen = Seen("crop:4", point, 1, index, 0, shape);
    places.insert(std::find(seen.begin(), seen.end(), 1) - seen.begin());
  }
  // The middle goes to each of the 81 places, so none is 81: the end.
  EXPECT_EQ(places.size(), 81);
  EXPECT_EQ(places.count(81), 0);
}

TEST(Augmentation, PartsAreAppliedInTheirOrder) {
  const ImageShape row{1, 1, 3};
  const Picture picture = {1, 2, 3};
  // The cut shows the picture one to the right: 0 1 2.
  const int64_t both = ViewWith({0, 1, 0, true});
  EXPECT_EQ(Seen("crop:1+flip", picture, 1, 0, both, row), (Picture{2, 1, 0}));
  EXPECT_EQ(Seen("flip+crop:1", picture, 1, 0, both, row), (Picture{0, 3, 2}));
  const int64_t no_flip = ViewWith({0, 1, 0, false});
  EXPECT_EQ(Seen("crop:1+flip", picture, 1, 0, no_flip, row), (Picture{0, 1, 2}));
  EXPECT_EQ(Seen("flip+crop:1", picture, 1, 0, no_flip, row), (Picture{0, 1, 2}));
}

TEST(Augmentation, WhatOnePartShiftsOutNoOtherBringsBack) {
  const ImageShape row{1, 1, 3};
  const Picture picture = {1, 2, 3};
  // jitter: 0 1 2, then crop: 1 2 0. The other way round: 2 3 0, then 0 2 3.
  const int64_t there_and_back = ViewWith({0, -1, 1, false});
  EXPECT_EQ(Seen("jitter:1+crop:1", picture, 1, 0, there_and_back, row), (Picture{1, 2, 0}));
  EXPECT_EQ(Seen("crop:1+jitter:1", picture, 1, 0, there_and_back, row), (Picture{0, 2, 3}));
  // jitter: 0 1 2, flip: 2 1 0, crop: 1 0 0.
  const int64_t with_flip = ViewWith({0, -1, 1, true});
  EXPECT_EQ(Seen("jitter:1+flip+crop:1", picture, 1, 0, with_flip, row), (Picture{1, 0, 0}));
}

// So a part draws the same whatever stands beside it, and no window of a composition is off by one.
TEST(Augmentation, CompositionIsItsPartsOneAfterTheOther) {
  const std::vector<std::string> compositions[] = {{"crop:4", "flip"},
                                                   {"flip", "crop:4"},
                                                   {"jitter:3", "crop:2"},
                                                   {"flip", "jitter:8"},
                                                   {"jitter:2", "flip", "crop:5"},
                                                   {"crop:32", "jitter:8", "flip"},
                                                   {"flip", "crop:3", "jitter:4"}};
  const ImageShape shapes[] = {{2, 5, 7}, {3, 9, 24}, {1, 8, 19}};
  for (const ImageShape& shape : shapes) {
    for (const std::vector<std::string>& parts : compositions) {
      const std::string joined = absl::StrJoin(parts, "+");
      for (int64_t view = 0; view < 100; ++view) {
        Picture expected = Pattern(shape);
        for (const std::string& part : parts) expected = Seen(part, expected, 9, 4, view, shape);
        ASSERT_EQ(Seen(joined, Pattern(shape), 9, 4, view, shape), expected)
            << joined << " view " << view << " width " << shape.width;
      }
    }
  }
}

// SHA-256 of views 0 to 2 of all digits, seed 5. The pictures of a run may never change.
std::string DigestOfViews(const std::string& augmentation) {
  const StoredSamples digits = *ReadBuiltInDigits();
  Sha256 digest;
  for (int64_t view = 0; view < 3; ++view) {
    for (int64_t index = 0; index < digits.size(); ++index) {
      const uint8_t* const pixels = digits.Record(index);
      const Picture seen =
          Seen(augmentation, Picture(pixels, pixels + 64), 5, index, view, digits.shape());
      digest.Update({reinterpret_cast<const char*>(seen.data()), seen.size()});
    }
  }
  return digest.HexDigest();
}

TEST(Augmentation, ViewsOfTheDigitsAreTheBytesOnRecord) {
  EXPECT_EQ(DigestOfViews("jitter:2"),
            "2bdfca23a6dca3184ab6f20a8a8088400e8e4b208abc80a659d87352a8702ec7");
  EXPECT_EQ(DigestOfViews("jitter:8"),
            "79fbb1bcf87b90c97ab318cc1ac0023f0b0939c7dc54340717cc13ecad9c92bd");
  EXPECT_EQ(DigestOfViews("crop:4+flip"),
            "8f54e33de121045774fd426851be0b71983f31c83997cd465fec9f1cb31f910e");
}

}  // namespace
}  // namespace distillery

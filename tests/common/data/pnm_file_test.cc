#include "common/data/pnm_file.h"

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(DecodePnm, ReadsGreyAndColour) {
  ASSERT_OK_AND_ASSIGN(const Image grey, DecodePnm("P5\n2 1\n255\nAB", "x"));
  EXPECT_EQ(grey.shape, (ImageShape{1, 1, 2}));
  EXPECT_THAT(grey.pixels, ElementsAre('A', 'B'));
  ASSERT_OK_AND_ASSIGN(const Image colour, DecodePnm("P6 2 1 255 RGBrgb", "x"));
  EXPECT_EQ(colour.shape, (ImageShape{3, 1, 2}));
  EXPECT_THAT(colour.pixels, ElementsAre('R', 'r', 'G', 'g', 'B', 'b'));
}

TEST(DecodePnm, CommentsAndWhiteSpaceDoNotCount) {
  ASSERT_OK_AND_ASSIGN(const Image image,
                       DecodePnm("P5# made by\n#\n\t2 #wide\r\n 1\n255\n#B", "x"));
  EXPECT_THAT(image.pixels, ElementsAre('#', 'B')) << "no comments among the pixels";
}

TEST(DecodePnm, EveryCutIsDataLoss) {
  const std::string file = "P5\n20 1\n255\n01234567890123456789";
  for (size_t size = 2; size < file.size(); ++size) {
    EXPECT_THAT(DecodePnm(file.substr(0, size), "cut.pgm"),
                StatusIs(kDataLoss, HasSubstr("cut.pgm")))
        << size;
  }
  EXPECT_THAT(DecodePnm(file + "0", "long.pgm"), StatusIs(kDataLoss, HasSubstr("21 bytes")));
}

TEST(DecodePnm, OddHeadersAreDataLoss) {
  for (const char* const bad : {"P5 -1 1 255 x", "P5 1 x 255 x", "P5 1 1 255x", "P7 1 1 255 x",
                                "P5 99999999999999999999 1 255 x", "P5", "P5 #", "P5 0 1 255 "}) {
    EXPECT_THAT(DecodePnm(bad, "x"), StatusIs(kDataLoss)) << bad;
  }
}

TEST(DecodePnm, OtherLargestValuesAreRefused) {
  EXPECT_THAT(DecodePnm("P5 1 1 15 x", "dim.pgm"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("largest value 15")));
}

TEST(DecodePnm, SizesOutOfBoundsAreRefused) {
  for (const char* const bad : {"P5 65536 1 255 x", "P6 60000 60000 255 x"}) {
    EXPECT_THAT(DecodePnm(bad, "x"), StatusIs(absl::StatusCode::kResourceExhausted)) << bad;
  }
}

}  // namespace
}  // namespace distillery

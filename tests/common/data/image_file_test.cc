#include "common/data/image_file.h"

#include "common/data/png_file.h"
#include "tests/common/data/image_files.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(DecodeImage, TellsTheFormatsApart) {
  const Image image = PlainImage({1, 2, 3}, 90);
  for (const std::string& file : {*EncodePng(image), JpegBytes(image), PnmBytes(image)}) {
    ASSERT_OK_AND_ASSIGN(const Image read, DecodeImage(file, 0, "x"));
    EXPECT_EQ(read.shape, image.shape);
    EXPECT_EQ(read.pixels, image.pixels);
  }
}

TEST(DecodeImage, GivesTheChannelsAskedFor) {
  const std::string colour = PnmBytes({{3, 1, 1}, {255, 0, 0}});
  const std::string grey = PnmBytes({{1, 1, 1}, {9}});
  EXPECT_THAT(DecodeImage(colour, 0, "x")->pixels, ElementsAre(255, 0, 0));
  EXPECT_THAT(DecodeImage(colour, 3, "x")->pixels, ElementsAre(255, 0, 0));
  EXPECT_THAT(DecodeImage(colour, 1, "x")->pixels, ElementsAre(76));  // 0.299 * 255
  EXPECT_THAT(DecodeImage(grey, 0, "x")->pixels, ElementsAre(9));
  EXPECT_THAT(DecodeImage(grey, 3, "x")->pixels, ElementsAre(9, 9, 9));
  for (const int64_t channels : {-1, 2, 4}) {
    EXPECT_THAT(DecodeImage(grey, channels, "x"), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST(DecodeImage, OtherFormatsAreRefusedByName) {
  for (const char* const bytes : {"GIF89a", "RIFF....WAVE", "P2 1 1 255 0", "<svg>", "\x89JPG"}) {
    EXPECT_THAT(DecodeImage(bytes, 0, "picture"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("picture is neither")))
        << bytes;
  }
}

TEST(DecodeImage, OtherFormatsAreCalledWhatTheyAre) {
  const std::vector<std::pair<absl::string_view, std::string>> kinds = {
      {"GIF89a", "a GIF picture"},
      {absl::string_view("\0\0\0\x1C"
                         "ftypavif",
                         12),
       "an AVIF picture"},
      {absl::string_view("\0\0\0\x1C"
                         "ftypheic",
                         12),
       "an HEIC picture"},
      {"\n <!DOCTYPE html><p>404", "an HTML page"},
      {"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"}};
  for (const auto& [bytes, what] : kinds) {
    EXPECT_THAT(DecodeImage(bytes, 0, "picture"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("but " + what)));
  }
}

TEST(DecodeImage, EmptyAndShortFilesAreDataLoss) {
  EXPECT_THAT(DecodeImage("", 0, "void.png"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("void.png is empty")));
  for (const char* const bytes :
       {"\x89", "\x89PNG\r\n\x1a", "\xFF\xD8", "P", "RIFF", "RIFF1234WE", "B", "II*"}) {
    EXPECT_THAT(DecodeImage(bytes, 0, "cut"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("cut is cut short")));
  }
}

TEST(DecodeImage, LargeFilesAreRefused) {
  EXPECT_THAT(DecodeImage(std::string(kMaxImageFileBytes + 1, 'P'), 0, "x"),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(HasImageExtension, TakesSmallAndCapitalLetters) {
  for (const char* const name : {"a.png", "a.JPG", "a.jpeg", "a.JFIF", "a.b.pgm", "a.ppm", "a.WebP",
                                 "a.bmp", "a.tif", "a.TIFF"}) {
    EXPECT_TRUE(HasImageExtension(name)) << name;
  }
  for (const char* const name : {"a", "png", "a.gif", "a.png.txt", ""}) {
    EXPECT_FALSE(HasImageExtension(name)) << name;
  }
}

}  // namespace
}  // namespace distillery

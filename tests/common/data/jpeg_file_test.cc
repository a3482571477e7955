#include "common/data/jpeg_file.h"

#include "tests/common/data/image_files.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

// Something that takes many bits: every pixel another one than its neighbours.
Image Busy(int64_t channels) {
  Image image = PlainImage({channels, 16, 16}, 0);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<uint8_t>(i * 97 % 251);
  }
  return image;
}

TEST(DecodeJpeg, GreyHasOneChannel) {
  ASSERT_OK_AND_ASSIGN(const Image image, DecodeJpeg(JpegBytes(PlainImage({1, 9, 5}, 100)), "x"));
  EXPECT_EQ(image.shape, (ImageShape{1, 9, 5}));
  EXPECT_THAT(image.pixels, Each(100));
}

TEST(DecodeJpeg, ColourHasThreeInTheirOrder) {
  Image red = PlainImage({3, 8, 8}, 0);
  std::fill_n(red.pixels.begin(), 64, uint8_t{254});
  ASSERT_OK_AND_ASSIGN(const Image image, DecodeJpeg(JpegBytes(red), "x"));
  EXPECT_EQ(image.shape, (ImageShape{3, 8, 8}));
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_NEAR(image.pixels[i], 254, 2);
    EXPECT_NEAR(image.pixels[64 + i], 0, 2);
    EXPECT_NEAR(image.pixels[128 + i], 0, 2);
  }
}

TEST(DecodeJpeg, ProgressiveFilesAreRead) {
  ASSERT_OK_AND_ASSIGN(const Image plain, DecodeJpeg(JpegBytes(Busy(3)), "x"));
  ASSERT_OK_AND_ASSIGN(const Image progressive,
                       DecodeJpeg(JpegBytes(Busy(3), TJFLAG_PROGRESSIVE), "x"));
  EXPECT_EQ(progressive.pixels, plain.pixels);
}

TEST(DecodeJpeg, EveryCutIsDataLoss) {
  for (const int flags : {0, TJFLAG_PROGRESSIVE}) {
    const std::string file = JpegBytes(Busy(1), flags);
    for (size_t size = 3; size < file.size(); ++size) {
      EXPECT_THAT(DecodeJpeg(file.substr(0, size), "cut.jpg"),
                  StatusIs(kDataLoss, HasSubstr("cut.jpg")))
          << size;
    }
  }
}

TEST(DecodeJpeg, WarningsAboutAWholePictureDoNotMatter) {
  for (const int flags : {0, TJFLAG_PROGRESSIVE}) {
    const std::string file = JpegBytes(Busy(3), flags);
    ASSERT_OK_AND_ASSIGN(const Image whole, DecodeJpeg(file, "x"));
    // Bytes before the end, and before a table at the start.
    for (const size_t at : {file.size() - 2, file.find("\xFF\xDB")}) {
      std::string odd = file;
      odd.insert(at, "\x12\x34\x56");
      ASSERT_OK_AND_ASSIGN(const Image image, DecodeJpeg(odd, "odd.jpg"));
      EXPECT_EQ(image.pixels, whole.pixels) << at;
    }
    // A version of JFIF that is not known yet.
    std::string future = file;
    future[future.find("JFIF") + 5] = 9;
    EXPECT_EQ(DecodeJpeg(future, "x")->pixels, whole.pixels);
  }
}

TEST(DecodeJpeg, DamageWithinThePixelsIsDataLoss) {
  std::string file = JpegBytes(Busy(1));
  const size_t middle = (file.find("\xFF\xDA") + file.size()) / 2;
  file.replace(middle, 4, "\xFF\xD9\xFF\xD9");  // ends there
  EXPECT_THAT(DecodeJpeg(file, "x.jpg"), StatusIs(kDataLoss, HasSubstr("x.jpg")));
}

TEST(JpegShape, NeedsTheBytesUpToTheFirstScanAlone) {
  const std::string file = JpegBytes(PlainImage({3, 9, 5}, 100));
  const std::string start = file.substr(0, file.find("\xFF\xDA") + 14);
  EXPECT_EQ(*JpegShape(start, "x"), (ImageShape{3, 9, 5}));
  EXPECT_THAT(JpegShape(start.substr(0, 30), "x"), StatusIs(kDataLoss));
}

TEST(DecodeJpeg, DamagedHeaderIsDataLoss) {
  std::string file = JpegBytes(Busy(1));
  file[file.find("\xFF\xC4") + 3] = '\xFF';  // the length of the first Huffman table
  EXPECT_THAT(DecodeJpeg(file, "bad.jpg"), StatusIs(kDataLoss, HasSubstr("bad.jpg")));
  EXPECT_THAT(DecodeJpeg("\xFF\xD8\xFFnothing", "x"), StatusIs(kDataLoss));
}

TEST(DecodeJpeg, LargeHeaderIsRefusedBeforeAnythingIsAllocated) {
  std::string file = JpegBytes(Busy(1));
  const size_t frame = file.find("\xFF\xC0");  // length 2, precision 1, height 2, width 2
  file.replace(frame + 5, 4, "\xFF\xDC\xFF\xDC");
  EXPECT_THAT(DecodeJpeg(file, "big.jpg"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("big.jpg"), HasSubstr("65500 x 65500"))));
}

TEST(DecodeJpeg, CmykIsRefusedWithTheWayOut) {
  EXPECT_THAT(DecodeJpeg(CmykJpegBytes(), "print.jpg"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("print.jpg"), HasSubstr("convert it to RGB"))));
}

}  // namespace
}  // namespace distillery

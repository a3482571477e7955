#include "common/data/jpeg_file.h"

#include "tests/common/data/image_files.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

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
  const std::vector<uint8_t> values(4 * 64, 77);
  const tjhandle compressor = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg-turbo's type
  ASSERT_EQ(
      tjCompress2(compressor, values.data(), 8, 0, 8, TJPF_CMYK, &bytes, &size, TJSAMP_444, 90, 0),
      0);
  EXPECT_THAT(DecodeJpeg({reinterpret_cast<const char*>(bytes), size}, "print.jpg"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("print.jpg"), HasSubstr("convert it to RGB"))));
  tjFree(bytes);
  tjDestroy(compressor);
}

}  // namespace
}  // namespace distillery

#include "common/data/webp_file.h"

#include <webp/encode.h>

#include "common/data/image_file.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;

std::string TakeWebp(uint8_t* bytes, size_t size) {
  std::string file(reinterpret_cast<const char*>(bytes), size);
  WebPFree(bytes);
  return file;
}

// Lossless, of two pixels.
std::string WebpBytes() {
  const std::vector<uint8_t> values = {1, 2, 3, 40, 50, 60};
  uint8_t* bytes = nullptr;
  const size_t size = WebPEncodeLosslessRGB(values.data(), 2, 1, 6, &bytes);
  return TakeWebp(bytes, size);
}

TEST(DecodeWebp, ReadsLosslessFilesExactly) {
  ASSERT_OK_AND_ASSIGN(const Image image, DecodeImage(WebpBytes(), 0, "x"));
  EXPECT_EQ(image.shape, (ImageShape{3, 1, 2}));
  EXPECT_THAT(image.pixels, ElementsAre(1, 40, 2, 50, 3, 60));
  EXPECT_EQ(*ReadImageShape(WebpBytes(), 0, "x"), image.shape);
}

TEST(DecodeWebp, AlphaGoesByTheRule) {
  const std::vector<uint8_t> values = {10, 20, 30, 255, 100, 100, 100, 51};
  uint8_t* bytes = nullptr;
  const size_t size = WebPEncodeLosslessRGBA(values.data(), 2, 1, 8, &bytes);
  const std::string file = TakeWebp(bytes, size);
  // 100 * 51 / 255 = 20; and 255 - 51 = 204 of white.
  EXPECT_THAT(DecodeWebp(file, "x", AlphaRule::kBlack)->pixels,
              ElementsAre(10, 20, 20, 20, 30, 20));
  EXPECT_THAT(DecodeWebp(file, "x", AlphaRule::kWhite)->pixels,
              ElementsAre(10, 224, 20, 224, 30, 224));
  EXPECT_THAT(DecodeWebp(file, "x", AlphaRule::kDrop)->pixels,
              ElementsAre(10, 100, 20, 100, 30, 100));
}

TEST(DecodeWebp, ReadsLossyFiles) {
  const std::vector<uint8_t> values(3 * 16 * 16, 128);
  uint8_t* bytes = nullptr;
  const size_t size = WebPEncodeRGB(values.data(), 16, 16, 48, 90, &bytes);
  ASSERT_OK_AND_ASSIGN(const Image image, DecodeImage(TakeWebp(bytes, size), 1, "x"));
  EXPECT_EQ(image.shape, (ImageShape{1, 16, 16}));
  EXPECT_NEAR(image.pixels[100], 128, 3);
}

TEST(DecodeWebp, EveryCutIsDataLoss) {
  // The last byte fills the chunk up to an even size.
  const std::string file = WebpBytes();
  for (size_t size = 1; size + 1 < file.size(); ++size) {
    EXPECT_THAT(DecodeImage(file.substr(0, size), 0, "x"), StatusIs(absl::StatusCode::kDataLoss))
        << size;
  }
}

}  // namespace
}  // namespace distillery

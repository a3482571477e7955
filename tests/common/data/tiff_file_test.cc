#include "common/data/tiff_file.h"

#include <array>

#include "common/data/image_file.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kTiffInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kTiffLoss = absl::StatusCode::kDataLoss;

std::string TiffNumber(uint32_t value, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

// What a page says of itself.
struct TiffTags {
  uint32_t width = 2;
  uint32_t height = 1;
  uint32_t bits = 8;
  uint32_t compression = 1;
  uint32_t photometric = 1;
  uint32_t values = 1;
  uint32_t planes = 1;
  // 0: no such tag.
  uint32_t extra = 0;
  uint32_t orientation = 1;
};

// A file of one strip: header, pixels, bits of each value, tags.
std::string Tiff(const TiffTags& tags, const std::string& pixels) {
  const auto bits_at = static_cast<uint32_t>(8 + pixels.size());
  std::string bits;
  for (uint32_t i = 0; i < tags.values; ++i) bits += TiffNumber(tags.bits, 2);
  const bool inline_bits = tags.values <= 2;
  const uint32_t bits_field = inline_bits ? tags.bits | (tags.bits << 16) : bits_at;
  std::vector<std::array<uint32_t, 4>> fields = {
      {256, 4, 1, tags.width},
      {257, 4, 1, tags.height},
      {258, 3, tags.values, tags.values == 1 ? tags.bits : bits_field},
      {259, 3, 1, tags.compression},
      {262, 3, 1, tags.photometric},
      {273, 4, 1, 8},
      {274, 3, 1, tags.orientation},
      {277, 3, 1, tags.values},
      {278, 4, 1, tags.height},
      {279, 4, 1, static_cast<uint32_t>(pixels.size())},
      {284, 3, 1, tags.planes}};
  if (tags.extra != 0) fields.push_back({338, 3, 1, tags.extra});
  const std::string filled = bits.size() % 2 == 0 ? bits : bits + '\0';
  std::string file = "II*" + std::string(1, '\0') +
                     TiffNumber(static_cast<uint32_t>(bits_at + filled.size()), 4) + pixels +
                     filled + TiffNumber(static_cast<uint32_t>(fields.size()), 2);
  for (const auto& [tag, type, count, value] : fields) {
    file += TiffNumber(tag, 2) + TiffNumber(type, 2) + TiffNumber(count, 4) + TiffNumber(value, 4);
  }
  return file + TiffNumber(0, 4);
}

TEST(DecodeTiff, ReadsGreyAndInvertedGrey) {
  ASSERT_OK_AND_ASSIGN(const Image image, DecodeImage(Tiff({}, "\x05\x07"), 0, "x"));
  EXPECT_EQ(image.shape, (ImageShape{1, 1, 2}));
  EXPECT_THAT(image.pixels, ElementsAre(5, 7));
  TiffTags inverted;
  inverted.photometric = 0;
  EXPECT_THAT(DecodeImage(Tiff(inverted, "\x05\x07"), 0, "x")->pixels, ElementsAre(250, 248));
}

TEST(DecodeTiff, SixteenBitsAreRounded) {
  TiffTags tags;
  tags.bits = 16;
  // 65535 and 129: 129 * 255 / 65535 = 0.50195.
  EXPECT_THAT(DecodeImage(Tiff(tags, std::string("\xFF\xFF\x81\0", 4)), 0, "x")->pixels,
              ElementsAre(255, 1));
}

TEST(DecodeTiff, ReadsColourAndAlpha) {
  TiffTags tags;
  tags.photometric = 2;
  tags.values = 3;
  EXPECT_THAT(DecodeImage(Tiff(tags, "\1\2\3\4\5\6"), 0, "x")->pixels,
              ElementsAre(1, 4, 2, 5, 3, 6));
  tags.values = 4;
  tags.extra = 2;
  tags.width = 1;
  EXPECT_THAT(DecodeImage(Tiff(tags, "\x64\x64\x64\x33"), 0, "x", AlphaRule::kWhite)->pixels,
              ElementsAre(224, 224, 224));
  tags.extra = 1;
  EXPECT_THAT(DecodeImage(Tiff(tags, "\x64\x64\x64\x33"), 0, "x"),
              StatusIs(kTiffInvalid, HasSubstr("premultiplied")));
}

TEST(DecodeTiff, OtherKindsAreRefusedWithTheReason) {
  const auto with = [](uint32_t TiffTags::*member, uint32_t value) {
    TiffTags tags;
    tags.*member = value;
    return DecodeImage(Tiff(tags, "12345678"), 0, "x").status();
  };
  EXPECT_THAT(with(&TiffTags::bits, 1), StatusIs(kTiffInvalid, HasSubstr("of 1 bits")));
  EXPECT_THAT(with(&TiffTags::bits, 32), StatusIs(kTiffInvalid, HasSubstr("of 32 bits")));
  EXPECT_THAT(with(&TiffTags::photometric, 5), StatusIs(kTiffInvalid, HasSubstr("grey or RGB")));
  EXPECT_THAT(with(&TiffTags::compression, 7), StatusIs(kTiffInvalid, HasSubstr("compression 7")));
  EXPECT_THAT(with(&TiffTags::orientation, 6), StatusIs(kTiffInvalid, HasSubstr("turned")));
  EXPECT_THAT(with(&TiffTags::height, 70000), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(DecodeTiff, CutAndDamagedFilesAreDataLoss) {
  const std::string file = Tiff({}, "\x05\x07");
  for (size_t size = 1; size + 4 < file.size(); ++size) {
    EXPECT_THAT(DecodeImage(file.substr(0, size), 0, "x"), StatusIs(kTiffLoss)) << size;
  }
  // A strip that says more bytes than there are; a packed one that ends too early.
  TiffTags tags;
  tags.height = 1000;
  EXPECT_THAT(DecodeImage(Tiff(tags, "\x05\x07"), 0, "x"), StatusIs(kTiffLoss));
  TiffTags packed;
  packed.compression = 5;
  EXPECT_THAT(DecodeImage(Tiff(packed, "\x80"), 0, "x"), StatusIs(kTiffLoss));
}

}  // namespace
}  // namespace distillery

#include "common/data/bmp_file.h"

#include "common/data/image_file.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string BmpNumber(uint64_t value, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

// `palette`: entries of blue, green, red and 0.
std::string Bmp(int32_t width, int32_t height, uint32_t bits, const std::string& pixels,
                const std::string& palette = "", uint32_t compression = 0) {
  const auto offset = static_cast<uint32_t>(54 + palette.size());
  return "BM" + BmpNumber(offset + static_cast<uint32_t>(pixels.size()), 4) + BmpNumber(0, 4) +
         BmpNumber(offset, 4) + BmpNumber(40, 4) + BmpNumber(static_cast<uint32_t>(width), 4) +
         BmpNumber(static_cast<uint32_t>(height), 4) + BmpNumber(1, 2) + BmpNumber(bits, 2) +
         BmpNumber(compression, 4) + BmpNumber(0, 4) + BmpNumber(0, 8) +
         BmpNumber(static_cast<uint32_t>(palette.size() / 4), 4) + BmpNumber(0, 4) + palette +
         pixels;
}

TEST(DecodeBmp, ReadsColourFromTheBottomUpAndFromTheTopDown) {
  // Blue, green, red; a row of one pixel is filled up to four bytes.
  const std::string rows("\x03\x02\x01\0\x06\x05\x04\0", 8);
  ASSERT_OK_AND_ASSIGN(const Image up, DecodeBmp(Bmp(1, 2, 24, rows), "x"));
  EXPECT_EQ(up.shape, (ImageShape{3, 2, 1}));
  EXPECT_THAT(up.pixels, ElementsAre(4, 1, 5, 2, 6, 3));
  ASSERT_OK_AND_ASSIGN(const Image down, DecodeBmp(Bmp(1, -2, 24, rows), "x"));
  EXPECT_THAT(down.pixels, ElementsAre(1, 4, 2, 5, 3, 6));
  ASSERT_OK_AND_ASSIGN(const Image wide, DecodeBmp(Bmp(1, 2, 32, rows), "x"));
  EXPECT_THAT(wide.pixels, ElementsAre(4, 1, 5, 2, 6, 3));
}

TEST(DecodeBmp, PaletteOfGreysIsGrey) {
  const std::string greys("\x09\x09\x09\0\x07\x07\x07\0", 8);
  const std::string row("\x01\0\0\0", 4);
  ASSERT_OK_AND_ASSIGN(const Image grey, DecodeBmp(Bmp(2, 1, 8, row, greys), "x"));
  EXPECT_EQ(grey.shape, (ImageShape{1, 1, 2}));
  EXPECT_THAT(grey.pixels, ElementsAre(7, 9));
  const std::string colours("\x09\x09\x09\0\x03\x02\x01\0", 8);
  ASSERT_OK_AND_ASSIGN(const Image colour, DecodeBmp(Bmp(2, 1, 8, row, colours), "x"));
  EXPECT_THAT(colour.pixels, ElementsAre(1, 9, 2, 9, 3, 9));
  EXPECT_THAT(*BmpShape(Bmp(2, 1, 8, row, colours).substr(0, 62), "x"), (ImageShape{3, 1, 2}));
}

TEST(DecodeBmp, EveryCutIsDataLoss) {
  const std::string file =
      Bmp(2, 1, 8, std::string("\x01\0\0\0", 4), std::string("\x09\x09\x09\0\x07\x07\x07\0", 8));
  for (size_t size = 2; size < file.size(); ++size) {
    EXPECT_THAT(DecodeImage(file.substr(0, size), 0, "x"), StatusIs(absl::StatusCode::kDataLoss))
        << size;
  }
}

TEST(DecodeBmp, WhatItCannotTakeIsSaid) {
  constexpr auto kBmpInvalid = absl::StatusCode::kInvalidArgument;
  constexpr auto kBmpLoss = absl::StatusCode::kDataLoss;
  EXPECT_THAT(DecodeBmp(Bmp(1, 1, 4, "1234"), "x"), StatusIs(kBmpInvalid, HasSubstr("of 4 bits")));
  EXPECT_THAT(DecodeBmp(Bmp(1, 1, 8, "1234", "", 1), "x"),
              StatusIs(kBmpInvalid, HasSubstr("with compression")));
  EXPECT_THAT(DecodeBmp(Bmp(0, 1, 24, ""), "x"), StatusIs(kBmpLoss, HasSubstr("no pixels")));
  EXPECT_THAT(DecodeBmp(Bmp(1, INT32_MIN, 24, ""), "x"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(DecodeBmp(Bmp(65535, 65535, 32, ""), "x"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  // Colour 1 of a palette of one.
  EXPECT_THAT(DecodeBmp(Bmp(1, 1, 8, std::string("\x01\0\0\0", 4), std::string(4, '\0')), "x"),
              StatusIs(kBmpLoss, HasSubstr("not in the palette")));
}

}  // namespace
}  // namespace distillery

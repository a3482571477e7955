#include "common/data/png_file.h"

#include "tests/common/data/image_files.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Two rows of two grey pixels.
std::string Grey() { return PngBytes(2, 2, 8, kGrey, std::string("\0\x0A\x14\0\x1E\x28", 6)); }

TEST(DecodePng, GreyHasOneChannel) {
  ASSERT_OK_AND_ASSIGN(const Image image, DecodePng(Grey(), "x"));
  EXPECT_EQ(image.shape, (ImageShape{1, 2, 2}));
  EXPECT_THAT(image.pixels, ElementsAre(10, 20, 30, 40));
}

TEST(DecodePng, ColourHasThree) {
  ASSERT_OK_AND_ASSIGN(const Image image,
                       DecodePng(PngBytes(2, 1, 8, kRgb, std::string("\0\1\2\3\4\5\6", 7)), "x"));
  EXPECT_EQ(image.shape, (ImageShape{3, 1, 2}));
  EXPECT_THAT(image.pixels, ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST(DecodePng, PaletteIsLookedUp) {
  const std::string palette = PngChunk("PLTE", "\x01\x02\x03\x0A\x0B\x0C");
  ASSERT_OK_AND_ASSIGN(
      const Image image,
      DecodePng(PngBytes(2, 1, 8, kPalette, std::string("\0\1\0", 3), palette), "x"));
  EXPECT_THAT(image.pixels, ElementsAre(10, 1, 11, 2, 12, 3));
}

TEST(DecodePng, SingleBitsAreBlackAndWhite) {
  // 1010 0000: white, black, white.
  ASSERT_OK_AND_ASSIGN(const Image image,
                       DecodePng(PngBytes(3, 1, 1, kGrey, std::string("\0\xA0", 2)), "x"));
  EXPECT_THAT(image.pixels, ElementsAre(255, 0, 255));
}

TEST(DecodePng, TransparentPixelsAreSeenOnBlack) {
  // 200 * 128 / 255 = 100.4; 100 * 0; 255 opaque.
  const std::string rows("\0\xC8\x80\x64\x00\xFF\xFF", 7);
  ASSERT_OK_AND_ASSIGN(const Image grey, DecodePng(PngBytes(3, 1, 8, kGreyAlpha, rows), "x"));
  EXPECT_EQ(grey.shape.channels, 1);
  EXPECT_THAT(grey.pixels, ElementsAre(100, 0, 255));
  // 255 * 51 / 255 = 51, 100 * 51 / 255 = 20, 0.
  ASSERT_OK_AND_ASSIGN(
      const Image colour,
      DecodePng(PngBytes(1, 1, 8, kRgba, std::string("\0\xFF\x64\x00\x33", 5)), "x"));
  EXPECT_EQ(colour.shape.channels, 3);
  EXPECT_THAT(colour.pixels, ElementsAre(51, 20, 0));
}

TEST(DecodePng, AlphaGoesByTheRule) {
  const auto decode = [](int depth, PngColour colour, const std::string& rows,
                         const std::string& extra, AlphaRule rule) {
    return DecodePng(PngBytes(2, 1, depth, colour, rows, extra), "x", rule)->pixels;
  };
  // 200 with an alpha of 128; 100 of 0: on white (200 * 128 + 255 * 127) / 255 = 227.4; 255.
  const std::string grey("\0\xC8\x80\x64\x00", 5);
  EXPECT_THAT(decode(8, kGreyAlpha, grey, "", AlphaRule::kBlack), ElementsAre(100, 0));
  EXPECT_THAT(decode(8, kGreyAlpha, grey, "", AlphaRule::kWhite), ElementsAre(227, 255));
  EXPECT_THAT(decode(8, kGreyAlpha, grey, "", AlphaRule::kDrop), ElementsAre(200, 100));
  // One transparent grey, of 8 bits and of 16, where only the low byte tells it from its neighbour.
  const std::string key8 = PngChunk("tRNS", std::string("\0\x07", 2));
  EXPECT_THAT(decode(8, kGrey, std::string("\0\x07\x08", 3), key8, AlphaRule::kWhite),
              ElementsAre(255, 8));
  EXPECT_THAT(decode(8, kGrey, std::string("\0\x07\x08", 3), key8, AlphaRule::kDrop),
              ElementsAre(7, 8));
  const std::string key16 = PngChunk("tRNS", "\x80\x80");
  EXPECT_THAT(decode(16, kGrey, std::string("\0\x80\x80\x80\x81", 5), key16, AlphaRule::kWhite),
              ElementsAre(255, 128));
  // A palette with an alpha for its first colour.
  const std::string palette =
      PngChunk("PLTE", "\x01\x02\x03\x0A\x0B\x0C") + PngChunk("tRNS", std::string("\0", 1));
  EXPECT_THAT(decode(8, kPalette, std::string("\0\0\1", 3), palette, AlphaRule::kBlack),
              ElementsAre(0, 10, 0, 11, 0, 12));
  EXPECT_THAT(decode(8, kPalette, std::string("\0\0\1", 3), palette, AlphaRule::kDrop),
              ElementsAre(1, 10, 2, 11, 3, 12));
}

TEST(DecodePng, StatedGammaChangesNothing) {
  // Gamma 1.0: linear light.
  const std::string gamma = PngChunk("gAMA", BigEndianBytes(100000));
  const std::string rows("\0\x0A\x14\0\x1E\x28", 6);
  EXPECT_THAT(DecodePng(PngBytes(2, 2, 8, kGrey, rows, gamma), "x")->pixels,
              ElementsAre(10, 20, 30, 40));
}

TEST(DecodePng, InterlacedFilesOfSixteenBitsAreRead) {
  // 2 x 2 pixels are three passes of Adam7: (0, 0); (0, 1); the second row.
  const std::string rows(
      "\0\x10\x10"
      "\0\x20\x20"
      "\0\x30\x30\x40\x40",
      11);
  std::string file = PngBytes(2, 2, 16, kGrey, rows);
  // The last byte of the header says that it is interlaced; the CRC goes over it.
  const size_t header = file.find("IHDR");
  std::string content = file.substr(header + 4, 13);
  content[12] = '\1';
  file.replace(header - 4, 25, PngChunk("IHDR", content));
  EXPECT_THAT(DecodePng(file, "x")->pixels, ElementsAre(0x10, 0x20, 0x30, 0x40));
}

TEST(PngShape, IsWhatTheWholeFileGives) {
  for (const auto& [colour, channels] :
       {std::pair{kGrey, 1}, std::pair{kGreyAlpha, 1}, std::pair{kRgb, 3}, std::pair{kRgba, 3},
        std::pair{kPalette, 3}}) {
    const std::string file = PngBytes(7, 5, 8, colour, "");
    EXPECT_EQ(*PngShape(file.substr(0, 26), "x"), (ImageShape{channels, 5, 7}));
    EXPECT_THAT(PngShape(file.substr(0, 25), "x"), StatusIs(kDataLoss));
  }
}

TEST(DecodePng, SixteenBitsAreRoundedAndNotTakenForLinearLight) {
  // 0x8080 / 65535 = 128 / 255; 0x80FF is 0.49 above it, 0x8101 is 0.502.
  const std::string rows("\0\x80\x80\x80\xFF\x81\x01\xFF\xFF", 9);
  ASSERT_OK_AND_ASSIGN(const Image image, DecodePng(PngBytes(4, 1, 16, kGrey, rows), "x"));
  EXPECT_THAT(image.pixels, ElementsAre(128, 128, 129, 255));
}

TEST(DecodePng, EveryCutIsDataLoss) {
  const std::string file = Grey();
  for (size_t size = 8; size < file.size(); ++size) {
    EXPECT_THAT(DecodePng(file.substr(0, size), "cut.png"),
                StatusIs(kDataLoss, HasSubstr("cut.png")))
        << size;
  }
}

TEST(DecodePng, EveryFlippedByteOfThePixelsIsDataLoss) {
  const std::string file = Grey();
  const size_t begin = file.find("IDAT");
  const size_t end = file.find("IEND") - 4;
  for (size_t at = begin; at < end; ++at) {
    std::string damaged = file;
    damaged[at] ^= 0x10;
    EXPECT_THAT(DecodePng(damaged, "x"), StatusIs(kDataLoss)) << at;
  }
}

TEST(DecodePng, TooFewRowsAreDataLoss) {
  EXPECT_THAT(DecodePng(PngBytes(2, 2, 8, kGrey, std::string("\0\x0A\x14", 3)), "short.png"),
              StatusIs(kDataLoss, HasSubstr("short.png")));
}

TEST(DecodePng, LargeHeaderIsRefusedBeforeAnythingIsAllocated) {
  EXPECT_THAT(DecodePng(PngBytes(60000, 60000, 8, kRgb, ""), "big.png"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("big.png"), HasSubstr("60000 x 60000"))));
  EXPECT_THAT(DecodePng(PngBytes(~0U, ~0U, 8, kRgb, ""), "x"), StatusIs(kDataLoss));
  EXPECT_THAT(DecodePng(PngBytes(0, 1, 8, kRgb, ""), "x"), StatusIs(kDataLoss));
}

TEST(EncodePng, IsReadBackAsItWas) {
  const Image grey{{1, 2, 3}, {0, 50, 100, 150, 200, 255}};
  const Image colour{{3, 1, 2}, {255, 1, 2, 3, 4, 5}};
  for (const Image& image : {grey, colour}) {
    ASSERT_OK_AND_ASSIGN(const std::string bytes, EncodePng(image));
    ASSERT_OK_AND_ASSIGN(const Image read, DecodePng(bytes, "x"));
    EXPECT_EQ(read.shape, image.shape);
    EXPECT_EQ(read.pixels, image.pixels);
  }
}

TEST(EncodePng, RefusesWhatIsNoImage) {
  EXPECT_THAT(EncodePng({{1, 2, 2}, {1, 2, 3}}), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distillery

#include "common/data/mask_folder.h"

#include <cstring>

#include "common/base/files.h"
#include "common/data/png_file.h"
#include "tests/common/data/image_files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string Grey(const std::vector<uint8_t>& pixels, int64_t height = 1) {
  return *EncodePng({{1, height, static_cast<int64_t>(pixels.size()) / height}, pixels});
}

class MaskFolderTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& bytes) {
    const std::string path = folder_.File(name);
    ASSERT_THAT(MakeFolders(FolderOf(path)), IsOk());
    ASSERT_THAT(WriteFileDurably(path, bytes), IsOk());
  }
  void WriteBoth() {
    Write("train/images/b.png", Grey({5, 6}));
    Write("train/masks/b.png", Grey({0, 2}));
    Write("train/images/a.png", Grey({1, 2}));
    Write("train/masks/a.png", Grey({1, 255}));
    Write("test/images/t.png", Grey({7, 8}));
    Write("test/masks/t.png", Grey({1, 0}));
  }
  absl::StatusOr<StoredSamples> Read() { return ReadMaskFolder("cells", folder_.path()); }
  static std::vector<int32_t> Labels(const StoredSamples& samples, int64_t index) {
    const int64_t input = samples.spec.input_bytes();
    std::vector<int32_t> labels(static_cast<size_t>(samples.record_bytes() - input) / 4);
    std::memcpy(labels.data(), samples.Record(index) + input, labels.size() * 4);
    return labels;
  }
  TemporaryFolder folder_;
};

TEST_F(MaskFolderTest, EachPixelHasTheClassOfTheMask) {
  EXPECT_FALSE(HoldsMasks(folder_.path()));
  WriteBoth();
  EXPECT_TRUE(HoldsMasks(folder_.path()));
  Write("train/masks/c.png", Grey({1, 1}));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(CheckSamples(samples), IsOk());
  EXPECT_EQ(samples.spec.ToString(), "image uint8 [1, 1, 2] / 255 -> classes [1, 2]");
  EXPECT_THAT(samples.class_names, ElementsAre("0", "1", "2"));
  EXPECT_THAT(Labels(samples, 0), ElementsAre(1, kNoLabel));
  EXPECT_THAT(Labels(samples, 1), ElementsAre(0, 2));
  EXPECT_EQ(samples.Record(0)[1], 2);
  EXPECT_EQ(samples.test.size(), 1);
  ASSERT_EQ(samples.left_out.size(), 1U);
  EXPECT_THAT(samples.left_out[0].what, HasSubstr("train/masks/c.png"));
}

TEST_F(MaskFolderTest, IndexesOfAPaletteAndFewBitsAreValues) {
  WriteBoth();
  const std::string palette = PngChunk("PLTE", std::string("\xFF\0\0\0\xFF\0\0\0\xFF", 9));
  Write("train/masks/a.png", PngBytes(2, 1, 8, kPalette, std::string("\0\2\1", 3), palette));
  // Two bits each: 1 and 0.
  Write("train/masks/b.png", PngBytes(2, 1, 2, kPalette, std::string("\0\x40", 2), palette));
  Write("test/masks/t.png", PngBytes(2, 1, 1, kGrey, std::string("\0\x40", 2)));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(Labels(samples, 0), ElementsAre(2, 1));
  EXPECT_THAT(Labels(samples, 1), ElementsAre(1, 0));
  EXPECT_THAT(Labels(samples, 2), ElementsAre(0, 1));
}

TEST_F(MaskFolderTest, AResizedMaskHasTheNearestValue) {
  WriteBoth();
  Write("dataset.json", R"({"height": 2, "width": 2})");
  Write("train/images/a.png", Grey(std::vector<uint8_t>(16, 9), 4));
  Write("train/masks/a.png", Grey({0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3}, 4));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(Labels(samples, 0), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Labels(samples, 1), ElementsAre(0, 2, 0, 2));
}

TEST_F(MaskFolderTest, ValTakesThePlaceOfTestAndNamesAreThoseOfTheFile) {
  Write("train/images/a.png", Grey({1, 2}));
  Write("train/masks/a.png", Grey({1, 0}));
  Write("val/images/t.png", Grey({7, 8}));
  Write("val/masks/t.png", Grey({1, 0}));
  Write("classes.txt", "sky\nroad\n");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(samples.class_names, ElementsAre("sky", "road"));
  EXPECT_TRUE(samples.left_out.empty());
  Write("val/masks/t.png", Grey({2, 0}));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("val/masks/t.png has the value 2, classes.txt "
                                                   "has 2 classes")));
}

TEST_F(MaskFolderTest, WhatIsWrongIsNamed) {
  WriteBoth();
  const auto says = [&](const std::string& name, const std::string& bytes) {
    const std::string before = *ReadFile(folder_.File(name), 10'000);
    Write(name, bytes);
    const std::string message(Read().status().message());
    Write(name, before);
    return message;
  };
  EXPECT_THAT(says("train/masks/a.png", Grey({1, 2, 3})),
              HasSubstr("train/masks/a.png is 1 x 3, its picture is 1 x 2"));
  EXPECT_THAT(says("train/masks/a.png", *EncodePng({{3, 1, 2}, {1, 2, 3, 4, 5, 6}})),
              HasSubstr("train/masks/a.png is in colour"));
  EXPECT_THAT(says("train/masks/a.png", "no"), HasSubstr("train/masks/a.png is no PNG file"));
  EXPECT_THAT(says("train/masks/a.png", Grey({1, 2}).substr(0, 60)),
              HasSubstr("train/masks/a.png"));
  EXPECT_THAT(says("train/images/b.png", Grey({1, 2, 3})),
              HasSubstr("train/images/b.png is 1 x 3, the first image is 1 x 2"));
  Write("dataset.json", R"({"test_fraction": 0.5})");
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("\"test_fraction\" is for files by class")));
  Write("dataset.json", R"({"height": 2, "width": 2, "resize": "crop"})");
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("not for pictures with masks")));
  Write("dataset.json", R"({"skip_corrupt": true})");
  Write("train/images/a.png", "no");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.size(), 2);
  ASSERT_THAT(RemoveFile(folder_.File("train/masks/b.png")), IsOk());
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("train/images/b.png has no mask "
                                                   "train/masks/b.png; add it")));
  Write("train/masks/b.png", Grey({0, 1}));
  Write("train/images/b.jpg", JpegBytes({{1, 1, 2}, {1, 2}}));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("is that of two pictures")));
}

}  // namespace
}  // namespace distillery

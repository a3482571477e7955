#include "common/data/image_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/data/catalog.h"
#include "common/data/png_file.h"
#include "tests/common/data/image_files.h"
#include "tests/common/log_lines.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Image Grey(uint8_t left, uint8_t right) { return {{1, 1, 2}, {left, right}}; }

class ImageFolderTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& bytes) { folder_.Write(name, bytes); }
  void Write(const std::string& name, const Image& image) { Write(name, *EncodePng(image)); }
  // Two classes; names are not in the order of their making.
  void WriteTwoClasses(const std::string& in = "") {
    Write(in + "train/dog/b.png", Grey(5, 6));
    Write(in + "train/dog/a.png", Grey(3, 4));
    Write(in + "train/cat/z.png", Grey(1, 2));
    Write(in + "test/dog/t.png", Grey(7, 8));
  }
  absl::StatusOr<StoredSamples> Read() { return ReadImageFolder("pets", folder_.path()); }
  TemporaryFolder folder_;
};

TEST_F(ImageFolderTest, FoldersAreClassesInSortedOrder) {
  EXPECT_EQ(FindSampleFileKind(folder_.path(), {kImageFiles}), -1);
  WriteTwoClasses();
  EXPECT_EQ(FindSampleFileKind(folder_.path(), {kImageFiles}), 0);
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(CheckSamples(samples), IsOk());
  EXPECT_EQ(samples.name, "pets");
  EXPECT_EQ(samples.shape(), (ImageShape{1, 1, 2}));
  EXPECT_EQ(samples.pixel_max(), 255);
  EXPECT_THAT(samples.class_names, ElementsAre("cat", "dog"));
  EXPECT_THAT(samples.labels, ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(samples.records, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(samples.train, ElementsAre(0, 1, 2));
  EXPECT_THAT(samples.test, ElementsAre(3));
}

TEST_F(ImageFolderTest, ManyImagesKeepTheirOrder) {
  for (int i = 0; i < 70; ++i) {
    const std::string name = std::to_string(1000 + i);
    Write("train/" + std::string(i < 40 ? "a/" : "b/") + name + ".pgm",
          PnmBytes(Grey(static_cast<uint8_t>(i), 0)));
  }
  Write("test/a/x.png", Grey(0, 0));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  ASSERT_EQ(samples.size(), 71);
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(samples.Record(i)[0], i);
    EXPECT_EQ(samples.labels[i], i < 40 ? 0 : 1);
  }
}

TEST_F(ImageFolderTest, AllFormatsMayMixAndOtherFilesDoNotCount) {
  WriteTwoClasses();
  const Image plain = PlainImage({1, 1, 2}, 9);
  Write("train/cat/1.JPG", JpegBytes(plain));
  Write("train/cat/2.jpeg", JpegBytes(plain));
  Write("train/cat/3.pgm", PnmBytes(plain));
  Write("train/cat/Thumbs.db", std::string("x"));
  Write("train/cat/._z.png", std::string("x"));
  Write("train/.hidden/a.png", std::string("x"));
  Write("train/README.txt", std::string("x"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.train.size(), 6);
  EXPECT_EQ(samples.class_names.size(), 2);
}

TEST_F(ImageFolderTest, SizesThatDifferAreRefusedWithTheWayOut) {
  WriteTwoClasses();
  Write("train/dog/c.png", PlainImage({1, 3, 5}, 0));
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("pets: train/dog/c.png is 3 x 5"),
                                               HasSubstr("train/cat/z.png is 1 x 2"),
                                               HasSubstr("dataset.json"))));
}

TEST_F(ImageFolderTest, HeightAndWidthResizeAll) {
  WriteTwoClasses();
  Write("train/dog/c.png", PlainImage({1, 3, 5}, 9));
  Write("dataset.json", std::string(R"({"height": 1, "width": 1})"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.shape(), (ImageShape{1, 1, 1}));
  // (1 + 2) / 2 = 1.5, (3 + 4) / 2 = 3.5, ... rounded upwards.
  EXPECT_THAT(samples.records, ElementsAre(2, 4, 6, 9, 8));
}

TEST_F(ImageFolderTest, GreyAmongColourBecomesColour) {
  WriteTwoClasses();
  Write("train/cat/a.png", Image{{3, 1, 2}, {10, 20, 30, 40, 50, 60}});
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.shape(), (ImageShape{3, 1, 2}));
  EXPECT_EQ(samples.Record(1)[0], 1);
  EXPECT_EQ(samples.Record(1)[4], 1);
}

TEST_F(ImageFolderTest, ColourAmongGreyIsNotLostSilently) {
  WriteTwoClasses();
  Write("train/dog/c.png", Image{{3, 1, 2}, {255, 255, 0, 0, 0, 0}});
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("train/dog/c.png is in colour"),
                                               HasSubstr("{\"channels\": 1}"))));
  Write("dataset.json", std::string(R"({"channels": 1})"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.Record(3)[0], 76);  // 0.299 * 255
}

TEST_F(ImageFolderTest, DamagedImageIsDataLossAndNamed) {
  WriteTwoClasses();
  const std::string whole = *EncodePng(Grey(1, 1));
  Write("train/dog/broken.png", whole.substr(0, whole.size() - 20));
  EXPECT_THAT(Read(), StatusIs(kDataLoss,
                               AllOf(HasSubstr("train/dog/broken.png"), HasSubstr("skip_corrupt"),
                                     Not(HasSubstr(folder_.path())))));
  Write("train/dog/broken.png", std::string());
  EXPECT_THAT(Read(), StatusIs(kDataLoss, HasSubstr("train/dog/broken.png is empty")));
}

TEST_F(ImageFolderTest, DamagedImagesAreLeftOutWithAWarningIfAskedFor) {
  WriteTwoClasses("pets/");
  Write("pets/train/dog/aa.png", std::string());
  Write("pets/dataset.json", std::string(R"({"skip_corrupt": true})"));
  const LogLines log;
  DatasetCatalog catalog(folder_.path());
  ASSERT_OK_AND_ASSIGN(const auto train, catalog.Open({"pets", "train", 2}));
  EXPECT_EQ(train->size(), 3);
  EXPECT_THAT(catalog.Open({"pets", "test", 2}), IsOk());
  EXPECT_THAT(log.Of("warning"),
              ElementsAre(HasSubstr("pets: left out: train/dog/aa.png is empty")));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadImageFolder("pets", folder_.File("pets")));
  EXPECT_THAT(samples.records, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST_F(ImageFolderTest, ClassOfDamagedImagesOnlyIsRefused) {
  WriteTwoClasses();
  Write("train/fox/a.png", std::string());
  Write("dataset.json", std::string(R"({"skip_corrupt": true})"));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("class fox of train has damaged images only")));
}

TEST_F(ImageFolderTest, OtherFormatsUnderAnImageNameAreRefusedByName) {
  WriteTwoClasses();
  Write("train/dog/anim.png", std::string("GIF89a..."));
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("train/dog/anim.png is neither a PNG"),
                                               HasSubstr("but a GIF picture"))));
}

// Ten files in which ten unlike things are wrong.
class BadFilesTest : public ImageFolderTest {
 protected:
  BadFilesTest() {
    WriteTwoClasses();
    const std::string png = *EncodePng(Grey(1, 1));
    Write("train/dog/0_cut.png", png.substr(0, png.size() - 20));
    Write("train/dog/1_anim.jpg", std::string("GIF89a..."));
    Write("train/dog/2_page.jpg", std::string("<!doctype html><p>404"));
    Write("train/dog/3_web.jpg", std::string("\0\0\0\x1C"
                                             "ftypavif",
                                             12));
    Write("train/dog/4_huge.png", PngBytes(60000, 60000, 8, kRgb, ""));
    Write("train/dog/5_empty.jpg", std::string());
    Write("train/dog/6_pgm.pgm", std::string("P5 1 2 65535 abcd"));
    EXPECT_EQ(mkfifo(folder_.File("train/dog/7_pipe.png").c_str(), 0600), 0);
    EXPECT_EQ(symlink("nowhere", folder_.File("train/dog/8_link.png").c_str()), 0);
    Write("test/dog/9_\xFF\x1B[31m.png", std::string("x"));
  }
};

TEST_F(BadFilesTest, Fault67_AllAreNamedInOnePassWithTheirNumber) {
  const absl::StatusOr<StoredSamples> samples = Read();
  ASSERT_THAT(samples, StatusIs(kInvalid));
  const std::string message(samples.status().message());
  EXPECT_THAT(message, HasSubstr("pets: 10 of 14 image files cannot be taken: "));
  for (const char* const part :
       {"0_cut.png is cut short", "1_anim.jpg is neither", "a GIF picture", "an HTML page",
        "an AVIF picture", "60000 x 60000", "5_empty.jpg is empty", "largest value 65535",
        "; and 2 more; mend or remove them", "\"skip_corrupt\": true"}) {
    EXPECT_THAT(message, HasSubstr(part));
  }
  EXPECT_THAT(message, Not(HasSubstr(folder_.path())));
}

TEST_F(BadFilesTest, Fault67_AllCanBeSkippedAndAreListed) {
  Write("dataset.json", std::string(R"({"skip_corrupt": true})"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(samples.records, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  ASSERT_EQ(samples.left_out.size(), 10);
  EXPECT_THAT(samples.left_out[0].what, HasSubstr("test/dog/9_\\xff\\x1b[31m.png is neither"));
  EXPECT_THAT(samples.left_out[1].what, HasSubstr("0_cut.png is cut short"));
  EXPECT_THAT(samples.left_out[9].what, HasSubstr("8_link.png is a link to a file that is not"));
}

TEST_F(ImageFolderTest, CmykCanBeSkipped) {
  WriteTwoClasses();
  Write("train/dog/print.jpg", CmykJpegBytes());
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("train/dog/print.jpg is a CMYK JPEG")));
  Write("dataset.json", std::string(R"({"skip_corrupt": true})"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.size(), 4);
}

TEST_F(ImageFolderTest, WhatIsNotReadIsCountedAndNamed) {
  WriteTwoClasses();
  for (int i = 0; i < 20; ++i) Write("train/cat/" + std::to_string(i) + ".gif", std::string("x"));
  for (int i = 0; i < 3; ++i) Write("train/dog/" + std::to_string(i) + ".HEIC", std::string("x"));
  Write("train/lost.png", Grey(1, 2));
  Write("train/cat/more/1.png", Grey(1, 2));
  Write("val/cat/1.png", Grey(1, 2));
  Write("val/dog/1.png", Grey(1, 2));
  Write("extra/1.png", Grey(1, 2));
  Write("labels", std::string("x"));
  Write("train/.hidden/a.png", std::string("x"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  // The one in a folder of its class among them.
  EXPECT_EQ(samples.size(), 5);
  std::vector<std::string> left_out;
  int64_t files = 0;
  for (const LeftOut& entry : samples.left_out) {
    left_out.push_back(entry.what);
    files += entry.file_count;
  }
  EXPECT_EQ(files, 28);
  EXPECT_THAT(
      left_out,
      ElementsAre("20 files .gif such as train/cat/0.gif", "3 files .heic such as train/dog/0.HEIC",
                  "1 file .png such as train/lost.png", "1 file without an ending such as labels",
                  "the folder extra of 1 file",
                  "the folder val of 2 files: the split validation is drawn from train"));
}

TEST_F(ImageFolderTest, JfifIsAJpeg) {
  WriteTwoClasses();
  Write("train/cat/1.jfif", JpegBytes(PlainImage({1, 1, 2}, 9)));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.size(), 5);
  EXPECT_TRUE(samples.left_out.empty());
}

TEST_F(ImageFolderTest, TooManyBytesAreKnownBeforeAnythingIsDecoded) {
  // 90 headers of 4000 x 4000 pixels in colour, without the pixels: decoding one would fail.
  for (int i = 0; i < 90; ++i) {
    Write("train/" + std::string(i % 2 == 0 ? "a/" : "b/") + std::to_string(i) + ".png",
          PngBytes(4000, 4000, 8, kRgb, ""));
  }
  Write("test/a/x.png", PngBytes(4000, 4000, 8, kRgb, ""));
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kResourceExhausted,
                               AllOf(HasSubstr("91 images of [3, 4000, 4000]"),
                                     HasSubstr("smaller \"height\" and \"width\""))));
}

TEST_F(ImageFolderTest, ImagesOfOtherSizesAreCounted) {
  WriteTwoClasses();
  for (int i = 0; i < 3; ++i) {
    Write("train/dog/c" + std::to_string(i) + ".png", PlainImage({1, 3, 5}, 0));
  }
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("train/dog/c0.png is 3 x 5"),
                                               HasSubstr("2 more are not as the first"))));
}

TEST_F(ImageFolderTest, AlphaGoesByTheRuleOfTheFolder) {
  Write("train/a/1.png", PngBytes(1, 1, 8, kGreyAlpha, std::string("\0\xC8\x00", 3)));
  Write("train/b/1.png", Image{{1, 1, 1}, {7}});
  Write("test/a/1.png", Image{{1, 1, 1}, {8}});
  for (const auto& [rule, value] :
       {std::pair{"", 0}, std::pair{R"("alpha": "black")", 0},
        std::pair{R"("alpha": "white")", 255}, std::pair{R"("alpha": "drop")", 200}}) {
    Write("dataset.json", "{" + std::string(rule) + "}");
    ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
    EXPECT_THAT(samples.records, ElementsAre(value, 7, 8)) << rule;
  }
}

TEST_F(ImageFolderTest, DatasetJsonThatIsNoFileIsNotTakenForAbsent) {
  WriteTwoClasses();
  ASSERT_EQ(symlink("nowhere", folder_.File("dataset.json").c_str()), 0);
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("pets: dataset.json is a link to a file")));
  ASSERT_THAT(RemoveFile(folder_.File("dataset.json")), IsOk());
  ASSERT_EQ(mkfifo(folder_.File("dataset.json").c_str(), 0600), 0);
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("pets: dataset.json is a named pipe")));
}

TEST_F(ImageFolderTest, DatasetJsonMayStartWithAByteOrderMark) {
  WriteTwoClasses();
  Write("dataset.json", std::string("\xEF\xBB\xBF{\"height\": 1, \"width\": 1}"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.shape(), (ImageShape{1, 1, 1}));
}

TEST_F(ImageFolderTest, ClassOfTestThatTrainHasNotIsRefusedByName) {
  WriteTwoClasses();
  Write("test/dgo/a.png", Grey(0, 0));
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("folder test/dgo"),
                                               HasSubstr("did you mean \"dog\""))));
}

TEST_F(ImageFolderTest, EmptyFoldersAreRefusedByName) {
  ASSERT_THAT(MakeFolders(folder_.File("train")), IsOk());
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("folder train"), HasSubstr("not 0"))));
  Write("train/cat/z.png", Grey(1, 2));
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("folder train"), HasSubstr("not 1"))));
  ASSERT_THAT(MakeFolders(folder_.File("train/dog")), IsOk());
  EXPECT_THAT(Read(), StatusIs(kInvalid,
                               AllOf(HasSubstr("train/dog holds no images"), HasSubstr(".jpeg"))));
  Write("train/dog/z.png", Grey(1, 2));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("no folder test")));
}

TEST_F(ImageFolderTest, TestWithoutClassesHasNoSamples) {
  WriteTwoClasses();
  ASSERT_THAT(RemoveFile(folder_.File("test/dog/t.png")), IsOk());
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("test/dog holds no images")));
}

TEST_F(ImageFolderTest, CropKeepsTheSidesInProportion) {
  Write("train/cat/1.pgm", PnmBytes({{1, 1, 4}, {1, 2, 3, 4}}));
  Write("train/dog/1.pgm", PnmBytes({{1, 3, 1}, {5, 6, 7}}));
  Write("test/dog/1.pgm", PnmBytes({{1, 1, 1}, {8}}));
  Write("dataset.json", std::string(R"({"height": 1, "width": 1, "resize": "crop"})"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(samples.records, ElementsAre(2, 6, 8));
  Write("dataset.json", std::string(R"({"height": 1, "width": 1, "resize": "squash"})"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples squashed, Read());
  EXPECT_THAT(squashed.records, ElementsAre(3, 6, 8));  // 2.5 upwards, 6, 8
}

TEST(ParseImageFolderOptions, CropNeedsASize) {
  EXPECT_TRUE(ParseImageFolderOptions(R"({"height": 2, "width": 2, "resize": "crop"})")->crop);
  EXPECT_FALSE(ParseImageFolderOptions(R"({"height": 2, "width": 2})")->crop);
  EXPECT_THAT(ParseImageFolderOptions(R"({"resize": "crop"})"),
              StatusIs(kInvalid, HasSubstr("resize")));
  EXPECT_THAT(ParseImageFolderOptions(R"({"height": 2, "width": 2, "resize": "pad"})"),
              StatusIs(kInvalid, HasSubstr("must be squash or crop")));
}

TEST(ParseImageFolderOptions, ReadsItsKeys) {
  ASSERT_OK_AND_ASSIGN(const ImageFolderOptions options,
                       ParseImageFolderOptions(
                           R"({"channels": 3, "height": 32, "width": 48, "skip_corrupt": true})"));
  EXPECT_EQ(options.channels, 3);
  EXPECT_EQ(options.height, 32);
  EXPECT_EQ(options.width, 48);
  EXPECT_TRUE(options.skip_corrupt);
  ASSERT_OK_AND_ASSIGN(const ImageFolderOptions none, ParseImageFolderOptions("{}"));
  EXPECT_EQ(none.channels, 0);
  EXPECT_FALSE(none.skip_corrupt);
}

TEST(ParseImageFolderOptions, RefusesOtherText) {
  for (const char* const bad :
       {"", "[]", "{", "{\"channels\": 2}", "{\"channels\": 0}", "{\"channels\": \"3\"}",
        "{\"height\": 8}", "{\"width\": 8}", "{\"height\": 1.5, \"width\": 8}",
        "{\"height\": 0, \"width\": 8}", "{\"height\": -8, \"width\": 8}",
        "{\"height\": 65536, \"width\": 1}", "{\"height\": 18446744073709551615, \"width\": 1}",
        "{\"alpha\": \"grey\"}", "{\"alpha\": 0}", "{\"skip_corrupt\": 1}",
        "{\"height\": {}, \"width\": []}", "null", "{} {}"}) {
    EXPECT_THAT(ParseImageFolderOptions(bad), StatusIs(kInvalid, HasSubstr("dataset.json"))) << bad;
  }
  EXPECT_THAT(ParseImageFolderOptions("{\"hieght\": 8}"),
              StatusIs(kInvalid, HasSubstr("did you mean \"height\"")));
  EXPECT_THAT(ParseImageFolderOptions(std::string(60000, '[')), StatusIs(kInvalid));
}

}  // namespace
}  // namespace distillery

#include "common/data/image_folder.h"

#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/data/png_file.h"
#include "tests/common/data/image_files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

Image Grey(uint8_t left, uint8_t right) { return {{1, 1, 2}, {left, right}}; }

class ImageFolderTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& bytes) {
    const std::string path = folder_.File(name);
    ASSERT_THAT(MakeFolders(FolderOf(path)), IsOk());
    ASSERT_THAT(WriteFileDurably(path, bytes), IsOk());
  }
  void Write(const std::string& name, const Image& image) { Write(name, *EncodePng(image)); }
  // Two classes; names are not in the order of their making.
  void WriteTwoClasses() {
    Write("train/dog/b.png", Grey(5, 6));
    Write("train/dog/a.png", Grey(3, 4));
    Write("train/cat/z.png", Grey(1, 2));
    Write("test/dog/t.png", Grey(7, 8));
  }
  absl::StatusOr<StoredSamples> Read() { return ReadImageFolder("pets", folder_.path()); }
  TemporaryFolder folder_;
};

TEST_F(ImageFolderTest, FoldersAreClassesInSortedOrder) {
  EXPECT_FALSE(HoldsImageFolder(folder_.path()));
  WriteTwoClasses();
  EXPECT_TRUE(HoldsImageFolder(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(CheckSamples(samples), IsOk());
  EXPECT_EQ(samples.name, "pets");
  EXPECT_EQ(samples.shape, (ImageShape{1, 1, 2}));
  EXPECT_EQ(samples.pixel_max, 255);
  EXPECT_THAT(samples.class_names, ElementsAre("cat", "dog"));
  EXPECT_THAT(samples.labels, ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(samples.pixels, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
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
    EXPECT_EQ(samples.Pixels(i)[0], i);
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
  EXPECT_EQ(samples.shape, (ImageShape{1, 1, 1}));
  // (1 + 2) / 2 = 1.5, (3 + 4) / 2 = 3.5, ... rounded upwards.
  EXPECT_THAT(samples.pixels, ElementsAre(2, 4, 6, 9, 8));
}

TEST_F(ImageFolderTest, GreyAmongColourBecomesColour) {
  WriteTwoClasses();
  Write("train/cat/a.png", Image{{3, 1, 2}, {10, 20, 30, 40, 50, 60}});
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.shape, (ImageShape{3, 1, 2}));
  EXPECT_EQ(samples.Pixels(1)[0], 1);
  EXPECT_EQ(samples.Pixels(1)[4], 1);
}

TEST_F(ImageFolderTest, ColourAmongGreyIsNotLostSilently) {
  WriteTwoClasses();
  Write("train/dog/c.png", Image{{3, 1, 2}, {255, 255, 0, 0, 0, 0}});
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("train/dog/c.png is in colour"),
                                               HasSubstr("{\"channels\": 1}"))));
  Write("dataset.json", std::string(R"({"channels": 1})"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.Pixels(3)[0], 76);  // 0.299 * 255
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
  WriteTwoClasses();
  Write("train/dog/aa.png", std::string());
  Write("dataset.json", std::string(R"({"skip_corrupt": true})"));
  std::ostringstream log;
  auto& sinks = spdlog::default_logger()->sinks();
  sinks.push_back(std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  const absl::StatusOr<StoredSamples> samples = Read();
  sinks.pop_back();
  ASSERT_THAT(samples, IsOk());
  EXPECT_THAT(samples->pixels, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(log.str(), HasSubstr("pets: left out: train/dog/aa.png is empty"));
}

TEST_F(ImageFolderTest, ClassOfDamagedImagesOnlyIsRefused) {
  WriteTwoClasses();
  Write("train/fox/a.png", std::string());
  Write("dataset.json", std::string(R"({"skip_corrupt": true})"));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("train/fox holds damaged images only")));
}

TEST_F(ImageFolderTest, OtherFormatsUnderAnImageNameAreRefusedByName) {
  WriteTwoClasses();
  Write("train/dog/anim.png", std::string("GIF89a..."));
  Write("dataset.json", std::string(R"({"skip_corrupt": true})"));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("train/dog/anim.png is neither a PNG")));
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

TEST(ParseImageFolderOptions, ReadsItsFourKeys) {
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
        "{\"skip_corrupt\": 1}", "{\"height\": {}, \"width\": []}", "null", "{} {}"}) {
    EXPECT_THAT(ParseImageFolderOptions(bad), StatusIs(kInvalid, HasSubstr("dataset.json"))) << bad;
  }
  EXPECT_THAT(ParseImageFolderOptions("{\"hieght\": 8}"),
              StatusIs(kInvalid, HasSubstr("did you mean \"height\"")));
  EXPECT_THAT(ParseImageFolderOptions(std::string(60000, '[')), StatusIs(kInvalid));
}

}  // namespace
}  // namespace distillery

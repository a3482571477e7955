#include "common/data/idx.h"

#include "tests/common/data/files.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseIdx, ReadsSizesAndElements) {
  absl::string_view elements;
  const std::string file = IdxBytes({2, 1, 3}, "abcdef");
  ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> sizes, ParseIdx(file, 3, "x", &elements));
  EXPECT_THAT(sizes, ElementsAre(2, 1, 3));
  EXPECT_EQ(elements, "abcdef");
}

TEST(ParseIdx, EveryLengthButTheRightOneIsDataLoss) {
  absl::string_view elements;
  const std::string file = IdxBytes({2, 1, 3}, "abcdef");
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THAT(ParseIdx(file.substr(0, size), 3, "cut", &elements),
                StatusIs(kDataLoss, HasSubstr("cut")));
  }
  EXPECT_THAT(ParseIdx(file + "g", 3, "long", &elements), StatusIs(kDataLoss));
}

TEST(ParseIdx, OtherTypesAndDimensionsAreDataLoss) {
  absl::string_view elements;
  std::string floats = IdxBytes({1}, "a");
  floats[2] = '\x0D';
  EXPECT_THAT(ParseIdx(floats, 1, "x", &elements), StatusIs(kDataLoss));
  EXPECT_THAT(ParseIdx(IdxBytes({1}, "a"), 3, "x", &elements), StatusIs(kDataLoss));
}

TEST(ParseIdx, OtherKindsOfFilesAreCalledWhatTheyAre) {
  absl::string_view elements;
  std::string floats = IdxBytes({1}, "a");
  floats[2] = '\x0D';
  EXPECT_THAT(ParseIdx(floats, 1, "x", &elements),
              StatusIs(kDataLoss, HasSubstr("x is an IDX file of float32 with 1 dimension(s), "
                                            "wanted: an IDX file of unsigned bytes")));
  EXPECT_THAT(ParseIdx(IdxBytes({1, 1}, "a"), 1, "x", &elements),
              StatusIs(kDataLoss, HasSubstr("of unsigned bytes with 2 dimension(s)")));
  EXPECT_THAT(ParseIdx(std::string("\x01\x08\0\0\x01\0\0\0a", 9), 1, "x", &elements),
              StatusIs(kDataLoss, HasSubstr("little-endian")));
  EXPECT_THAT(ParseIdx(Gzip(IdxBytes({1}, "a")), 1, "x", &elements),
              StatusIs(kDataLoss, HasSubstr("add .gz to its name")));
  EXPECT_THAT(ParseIdx("PK\x03\x04 and more", 1, "x", &elements),
              StatusIs(kDataLoss, HasSubstr("a ZIP archive")));
}

TEST(ParseIdx, SizesThatOverflowAreDataLoss) {
  absl::string_view elements;
  // 2^32 - 1 thrice does not fit; 2^31 * 2^31 * 4 would be 2^64, that is 0 if it wrapped.
  EXPECT_THAT(ParseIdx(IdxBytes({~0U, ~0U, ~0U}, ""), 3, "x", &elements), StatusIs(kDataLoss));
  EXPECT_THAT(ParseIdx(IdxBytes({1U << 31, 1U << 31, 4}, ""), 3, "x", &elements),
              StatusIs(kDataLoss));
}

class IdxFolderTest : public ::testing::Test {
 protected:
  IdxFolderTest() { WriteIdxFolder(folder_.path()); }
  void Replace(const std::string& name, const std::string& bytes) {
    ASSERT_THAT(WriteFileDurably(folder_.File(name), bytes), IsOk());
  }
  TemporaryFolder folder_;
};

TEST_F(IdxFolderTest, FourFilesMakeADataSet) {
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadIdxFolder("tiny", folder_.path()));
  EXPECT_EQ(samples.name, "tiny");
  EXPECT_EQ(samples.shape(), (ImageShape{1, 1, 2}));
  EXPECT_EQ(samples.pixel_max(), 255);
  EXPECT_THAT(samples.labels, ElementsAre(0, 2, 1, 2));
  EXPECT_THAT(AllPixels(samples), ElementsAre(0x00, 0x01, 0x10, 0x11, 0x20, 0xFF, 0x30, 0x31));
  EXPECT_THAT(samples.train, ElementsAre(0, 1, 2));
  EXPECT_THAT(samples.test, ElementsAre(3));
  EXPECT_THAT(samples.class_names, ElementsAre("0", "1", "2"));
}

TEST_F(IdxFolderTest, CompressedImagesBeyondTheLimitAreKnownByTheirHeader) {
  ASSERT_THAT(RemoveFile(folder_.File("train-images-idx3-ubyte")), IsOk());
  Replace("train-images-idx3-ubyte.gz", Gzip(IdxBytes({1U << 20, 1U << 6, 1U << 7}, "few")));
  EXPECT_THAT(
      ReadIdxFolder("tiny", folder_.path()),
      StatusIs(absl::StatusCode::kResourceExhausted,
               AllOf(HasSubstr("holds 1048576 images of 64 x 128"), HasSubstr("decompress it"))));
}

TEST_F(IdxFolderTest, FilesThatAreNotReadAreNamed) {
  Replace("train-images-idx3-ubyte.gz", "not looked at");
  Replace("extra-images-idx3-ubyte", "x");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadIdxFolder("tiny", folder_.path()));
  ASSERT_EQ(samples.left_out.size(), 2);
  EXPECT_EQ(samples.left_out[0].what, "1 file without an ending such as extra-images-idx3-ubyte");
  EXPECT_EQ(samples.left_out[1].what, "1 file .gz such as train-images-idx3-ubyte.gz");
}

TEST_F(IdxFolderTest, CompressedFilesGiveTheSameSamples) {
  ASSERT_OK_AND_ASSIGN(const StoredSamples plain, ReadIdxFolder("tiny", folder_.path()));
  for (const std::string name : {"train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}) {
    Replace(name + ".gz", Gzip(*ReadFile(folder_.File(name), 1000)));
    ASSERT_THAT(RemoveFile(folder_.File(name)), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(const StoredSamples packed, ReadIdxFolder("tiny", folder_.path()));
  EXPECT_FALSE(plain.in_memory());
  EXPECT_TRUE(packed.in_memory());
  EXPECT_EQ(AllPixels(packed), AllPixels(plain));
  EXPECT_EQ(packed.labels, plain.labels);
}

TEST_F(IdxFolderTest, MissingFileIsNamed) {
  ASSERT_THAT(RemoveFile(folder_.File("t10k-labels-idx1-ubyte")), IsOk());
  EXPECT_THAT(ReadIdxFolder("tiny", folder_.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("t10k-labels-idx1-ubyte")));
}

TEST_F(IdxFolderTest, FileCutShortIsDataLossAndNamed) {
  Replace("train-images-idx3-ubyte", IdxBytes({3, 1, 2}, "abcde"));
  EXPECT_THAT(ReadIdxFolder("tiny", folder_.path()),
              StatusIs(kDataLoss, HasSubstr("train-images-idx3-ubyte")));
}

TEST_F(IdxFolderTest, CountsThatDifferAreDataLoss) {
  Replace("train-labels-idx1-ubyte", IdxBytes({2}, "ab"));
  EXPECT_THAT(ReadIdxFolder("tiny", folder_.path()),
              StatusIs(kDataLoss, AllOf(HasSubstr("3 images"), HasSubstr("2 labels"))));
}

TEST_F(IdxFolderTest, SplitsOfDifferentShapesAreDataLoss) {
  Replace("t10k-images-idx3-ubyte", IdxBytes({1, 2, 1}, "ab"));
  EXPECT_THAT(ReadIdxFolder("tiny", folder_.path()), StatusIs(kDataLoss, HasSubstr("2 x 1")));
}

// Four files of two classes, whose names are made of these parts.
void WriteFour(const std::string& start, const std::string& between, const std::string& test,
               char first_label = 0) {
  ASSERT_THAT(MakeFolders(FolderOf(start + "x")), IsOk());
  const auto write = [&](const std::string& name, const std::string& bytes) {
    ASSERT_THAT(WriteFileDurably(start + name, bytes), IsOk());
  };
  const std::string labels = {first_label, static_cast<char>(first_label + 1)};
  write("train-images" + between + "idx3-ubyte", IdxBytes({2, 1, 2}, "abcd"));
  write("train-labels" + between + "idx1-ubyte", IdxBytes({2}, labels));
  write(test + "-images" + between + "idx3-ubyte", IdxBytes({1, 1, 2}, "ef"));
  write(test + "-labels" + between + "idx1-ubyte", IdxBytes({1}, labels.substr(1)));
}

TEST(ReadIdxFolder, TakesTheNamesAndFoldersThatPeopleHave) {
  for (const char* const within :
       {"", "raw/", "MNIST/raw/", "FashionMNIST/raw/", "KMNIST/raw/", "EMNIST/raw/"}) {
    for (const char* const between : {"-", "."}) {
      for (const char* const test : {"t10k", "test"}) {
        TemporaryFolder folder;
        EXPECT_FALSE(HoldsIdx(folder.path()));
        WriteFour(folder.File(within), between, test);
        EXPECT_TRUE(HoldsIdx(folder.path()));
        ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadIdxFolder("x", folder.path()));
        EXPECT_THAT(CheckSamples(samples), IsOk());
        EXPECT_THAT(samples.labels, ElementsAre(0, 1, 1));
        EXPECT_TRUE(samples.left_out.empty());
      }
    }
  }
}

TEST(ReadIdxFolder, EmnistsMappingNamesTheClassesAndNumbersThem) {
  TemporaryFolder folder;
  const std::string start = folder.File("emnist-letters-");
  WriteFour(start, "-", "test", /*first_label=*/1);
  // Without it the labels are numbers as they are.
  ASSERT_OK_AND_ASSIGN(const StoredSamples numbered, ReadIdxFolder("x", folder.path()));
  EXPECT_THAT(numbered.class_names, ElementsAre("0", "1", "2"));
  ASSERT_THAT(WriteFileDurably(start + "mapping.txt", "1 65 97\n2 66 98\n"), IsOk());
  ASSERT_OK_AND_ASSIGN(const StoredSamples named, ReadIdxFolder("x", folder.path()));
  EXPECT_THAT(CheckSamples(named), IsOk());
  EXPECT_THAT(named.class_names, ElementsAre("Aa", "Bb"));
  EXPECT_THAT(named.labels, ElementsAre(0, 1, 1));
  EXPECT_TRUE(named.left_out.empty());
  ASSERT_THAT(WriteFileDurably(start + "mapping.txt", "1 65\n3 66\n"), IsOk());
  EXPECT_THAT(ReadIdxFolder("x", folder.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has the label 2, which")));
  for (const char* const line : {"1", "x 65", "1 7", "1 65\n1 66", "-1 65"}) {
    ASSERT_THAT(WriteFileDurably(start + "mapping.txt", line), IsOk());
    EXPECT_THAT(ReadIdxFolder("x", folder.path()),
                StatusIs(kDataLoss, HasSubstr("emnist-letters-mapping.txt:")));
  }
}

TEST(ReadIdxFolder, TwoSetsInOneFolderAreRefused) {
  TemporaryFolder folder;
  WriteFour(folder.File("emnist-letters-"), "-", "test");
  WriteFour(folder.File("emnist-digits-"), "-", "test");
  EXPECT_THAT(ReadIdxFolder("x", folder.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("emnist-digits-train-images-idx3-ubyte and emnist-letters"),
                             HasSubstr("a folder of its own"))));
}

}  // namespace
}  // namespace distillery

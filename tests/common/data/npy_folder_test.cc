#include "common/data/npy_folder.h"

#include "tests/common/data/files.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class NpyFolderTest : public ::testing::Test {
 protected:
  NpyFolderTest() { WriteNpyFolder(folder_.path()); }
  void Replace(const std::string& name, const std::string& bytes) {
    ASSERT_THAT(WriteFileDurably(folder_.File(name), bytes), IsOk());
  }
  absl::StatusOr<StoredSamples> Read() { return ReadNpyFolder("tiny", folder_.path()); }
  TemporaryFolder folder_;
};

TEST_F(NpyFolderTest, FourFilesMakeADataSet) {
  EXPECT_TRUE(HoldsNpy(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(CheckSamples(samples), IsOk());
  EXPECT_EQ(samples.shape(), (ImageShape{1, 1, 2}));
  EXPECT_THAT(AllPixels(samples), ElementsAre('a', 'b', 'c', 'd', 'e', 'f'));
  EXPECT_THAT(samples.labels, ElementsAre(0, 2, 1));
  EXPECT_THAT(samples.train, ElementsAre(0, 1));
  EXPECT_THAT(samples.test, ElementsAre(2));
  EXPECT_THAT(samples.class_names, ElementsAre("0", "1", "2"));
}

TEST_F(NpyFolderTest, ColourImagesHaveTheirChannelsSecond) {
  Replace("train_images.npy", NpyBytes("|u1", "2, 3, 1, 1", "abcdef"));
  Replace("test_images.npy", NpyBytes("|u1", "1, 3, 1, 1", "ghi"));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.shape(), (ImageShape{3, 1, 1}));
}

TEST_F(NpyFolderTest, ChannelsLastAreRefusedWithTheWayOut) {
  Replace("train_images.npy", NpyBytes("|u1", "2, 1, 2, 3", std::string(12, 'x')));
  ASSERT_OK_AND_ASSIGN(const StoredSamples one_row, [&] {
    Replace("test_images.npy", NpyBytes("|u1", "1, 1, 2, 3", std::string(6, 'x')));
    return Read();
  }());
  EXPECT_EQ(one_row.shape(), (ImageShape{1, 2, 3})) << "one channel of 2 x 3, it may well be";
  Replace("train_images.npy", NpyBytes("|u1", "2, 2, 2, 3", std::string(24, 'x')));
  EXPECT_THAT(Read(),
              StatusIs(kInvalid, AllOf(HasSubstr("train_images.npy"), HasSubstr("[2, 2, 2, 3]"),
                                       HasSubstr("transpose(0, 3, 1, 2)"))));
}

TEST_F(NpyFolderTest, OtherShapesAreRefused) {
  Replace("train_images.npy", NpyBytes("|u1", "2, 2", "abcd"));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("[2, 2], wanted: [samples, height, width]")));
  WriteNpyFolder(folder_.path());
  Replace("train_labels.npy", NpyBytes("|u1", "2, 1", "\x01\x01"));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("train_labels.npy has the shape [2, 1]")));
  WriteNpyFolder(folder_.path());
  Replace("test_images.npy", NpyBytes("|u1", "1, 2, 1", "ef"));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("[1, 2, 1], the training images are")));
}

TEST_F(NpyFolderTest, FloatsAreRefusedWithWhatIsWanted) {
  Replace("train_images.npy", NpyBytes("<f4", "2, 1, 2", std::string(16, 'x')));
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("train_images.npy"), HasSubstr("<f4"),
                                               HasSubstr("wanted: |u1"))));
}

TEST_F(NpyFolderTest, LabelsOfOtherTypesAreTaken) {
  Replace("train_labels.npy",
          NpyBytes("<i8", "2,", std::string("\0\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0", 16)));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(samples.labels, ElementsAre(0, 4, 1));
  EXPECT_EQ(samples.class_names.size(), 5);
}

TEST_F(NpyFolderTest, LabelsOutOfRangeAreRefusedWithTheirIndex) {
  Replace("train_labels.npy", NpyBytes("|i1", "2,", "\x01\xFF"));
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("train_labels.npy: label 1 is -1")));
  Replace("train_labels.npy", NpyBytes("<u4", "2,", std::string("\0\0\0\0\0\0\0\x80", 8)));
  EXPECT_THAT(Read(), StatusIs(kInvalid,
                               AllOf(HasSubstr("label 1 is 2147483648"), HasSubstr("0 to 65535"))));
}

TEST_F(NpyFolderTest, NamesOfTheClassesBoundTheLabels) {
  Replace("classes.txt", "cat\ndog\nfox\nowl\n");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(samples.class_names, ElementsAre("cat", "dog", "fox", "owl"));
  Replace("classes.txt", "cat\ndog\n");
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("label 1 is 2, classes are 0 to 1")));
  Replace("classes.txt", "cat\ncat\n");
  EXPECT_THAT(Read(), StatusIs(kInvalid, HasSubstr("classes.txt")));
}

TEST_F(NpyFolderTest, MissingAndDamagedFilesAreNamed) {
  Replace("train_labels.npy", NpyBytes("|u1", "3,", "\x01\x01\x01"));
  EXPECT_THAT(Read(), StatusIs(kDataLoss, AllOf(HasSubstr("2 images"), HasSubstr("3 labels"))));
  Replace("train_labels.npy", "");
  EXPECT_THAT(Read(), StatusIs(kDataLoss, HasSubstr("tiny: train_labels.npy")));
  ASSERT_THAT(RemoveFile(folder_.File("train_labels.npy")), IsOk());
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("train_labels.npy")));
}

}  // namespace
}  // namespace distillery

#include "common/data/cifar.h"

#include <numeric>

#include "common/data/dataset.h"
#include "tests/common/data/files.h"
#include "tests/common/data/pickles.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A record: its label bytes, a red plane of 'r', a green one of 'g', a blue one of 'b'.
std::string Record(const std::string& labels) {
  return labels + std::string(1024, 'r') + std::string(1024, 'g') + std::string(1024, 'b');
}

std::string Ten(char label) { return Record(std::string(1, label)); }

TEST(AppendCifarLabels, TakesTheLabelOfEachRecord) {
  LabelList labels;
  ASSERT_THAT(AppendCifarLabels(Ten(9) + Ten(0), 0, kCifar10, "x", &labels), IsOk());
  EXPECT_THAT(labels, ElementsAre(9, 0));
}

TEST(AppendCifarLabels, TakesTheFineLabelOfCifar100) {
  LabelList labels;
  ASSERT_THAT(AppendCifarLabels(Record("\x13\x63"), 0, kCifar100, "x", &labels), IsOk());
  EXPECT_THAT(labels, ElementsAre(99));
}

TEST(AppendCifarLabels, LabelsOutOfRangeAreDataLossWithTheirRecord) {
  LabelList labels;
  EXPECT_THAT(AppendCifarLabels(Ten(1) + Ten(10), 256, kCifar10, "x.bin", &labels),
              StatusIs(kDataLoss, AllOf(HasSubstr("x.bin"), HasSubstr("record 257"),
                                        HasSubstr("label 10"), HasSubstr("0 to 9"))));
  EXPECT_THAT(AppendCifarLabels(Record("\x01\xFF"), 0, kCifar100, "x.bin", &labels),
              StatusIs(kDataLoss, AllOf(HasSubstr("label 255"), HasSubstr("0 to 99"))));
}

TEST(CountCifarRecords, SizesThatAreNoMultipleAreDataLoss) {
  EXPECT_EQ(*CountCifarRecords(6146, kCifar10, "x"), 2);
  for (const int64_t size : {0, 1, 3072, 3074, 6145}) {
    EXPECT_THAT(CountCifarRecords(size, kCifar10, "cut.bin"),
                StatusIs(kDataLoss, AllOf(HasSubstr("cut.bin"), HasSubstr(std::to_string(size)),
                                          HasSubstr("3073"))));
  }
}

class CifarFolderTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_THAT(WriteFileDurably(folder_.File(name), bytes), IsOk());
  }
  void WriteTen() {
    for (char i = 1; i <= 5; ++i) {
      Write("data_batch_" + std::to_string(i) + ".bin", Ten(i) + Ten(0));
    }
    Write("test_batch.bin", Ten(7));
  }
  TemporaryFolder folder_;
};

TEST_F(CifarFolderTest, SixFilesAreCifar10) {
  EXPECT_FALSE(HoldsCifar10(folder_.path()));
  WriteTen();
  EXPECT_TRUE(HoldsCifar10(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadCifar10Folder("ten", folder_.path()));
  EXPECT_THAT(CheckSamples(samples), IsOk());
  EXPECT_EQ(samples.shape(), (ImageShape{3, 32, 32}));
  EXPECT_THAT(samples.labels, ElementsAre(1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 7));
  const std::vector<uint8_t> pixels = AllPixels(samples);
  ASSERT_EQ(pixels.size(), 11 * 3072);
  for (const size_t image : {0, 1, 10}) {
    EXPECT_EQ(pixels[image * 3072], 'r');
    EXPECT_EQ(pixels[image * 3072 + 1024], 'g');
    EXPECT_EQ(pixels[image * 3072 + 3071], 'b');
  }
  EXPECT_THAT(samples.train, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(samples.test, ElementsAre(10));
  EXPECT_EQ(samples.class_names.size(), 10);
  EXPECT_EQ(samples.class_names[9], "9");
}

TEST_F(CifarFolderTest, NamesOfTheClassesAreTakenIfTheyAreThere) {
  WriteTen();
  Write("batches.meta.txt",
        "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadCifar10Folder("ten", folder_.path()));
  EXPECT_EQ(samples.class_names[9], "truck");
  Write("batches.meta.txt", "airplane\nautomobile\n");
  EXPECT_THAT(ReadCifar10Folder("ten", folder_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("batches.meta.txt has 2 names"), HasSubstr("10"))));
}

TEST_F(CifarFolderTest, MissingAndDamagedFilesAreNamed) {
  WriteTen();
  ASSERT_THAT(RemoveFile(folder_.File("data_batch_4.bin")), IsOk());
  EXPECT_THAT(ReadCifar10Folder("ten", folder_.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("data_batch_4.bin")));
  Write("data_batch_4.bin", Ten(1).substr(1));
  EXPECT_THAT(ReadCifar10Folder("ten", folder_.path()),
              StatusIs(kDataLoss, HasSubstr("ten: data_batch_4.bin has 3072 bytes")));
}

TEST_F(CifarFolderTest, TwoFilesAreCifar100) {
  Write("train.bin", Record(std::string("\x00\x05", 2)) + Record("\x01\x06"));
  Write("test.bin", Record("\x02\x07"));
  EXPECT_TRUE(HoldsCifar100(folder_.path()));
  EXPECT_FALSE(HoldsCifar10(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadCifar100Folder("c", folder_.path()));
  EXPECT_THAT(CheckSamples(samples), IsOk());
  EXPECT_THAT(samples.labels, ElementsAre(5, 6, 7));
  EXPECT_THAT(samples.test, ElementsAre(2));
  EXPECT_EQ(samples.class_names.size(), 100);
}

// The five batches and the test as pickles, in `within` of the folder.
class CifarPicklesTest : public CifarFolderTest {
 protected:
  static std::string Pixels(const std::string& labels) {
    std::string pixels;
    for (size_t i = 0; i < labels.size(); ++i) pixels += Record("");
    return pixels;
  }
  static std::string Batch(const std::string& labels, const std::string& key = "labels") {
    return PickleOfTwo(key, {labels.begin(), labels.end()}, Pixels(labels), 3072);
  }
  void WritePickles(const std::string& within) {
    ASSERT_THAT(MakeFolders(folder_.File(within)), IsOk());
    for (char i = 1; i <= 5; ++i) {
      Write(within + "/data_batch_" + std::to_string(i), Batch(std::string{i, '\0'}));
    }
    Write(within + "/test_batch", Batch("\x07"));
  }
};

TEST_F(CifarPicklesTest, TheVersionForPythonHasTheSameSamples) {
  EXPECT_FALSE(HoldsCifar10Pickles(folder_.path()));
  WritePickles("cifar-10-batches-py");
  EXPECT_TRUE(HoldsCifar10Pickles(folder_.path()));
  EXPECT_TRUE(HoldsCifar10Pickles(folder_.File("cifar-10-batches-py")));
  EXPECT_FALSE(HoldsCifar10(folder_.path()));
  ASSERT_OK_AND_ASSIGN(StoredSamples pickled, ReadCifar10Pickles("ten", folder_.path()));
  EXPECT_THAT(CheckSamples(pickled), IsOk());
  EXPECT_FALSE(pickled.in_memory());
  WriteTen();
  ASSERT_OK_AND_ASSIGN(StoredSamples binary, ReadCifar10Folder("ten", folder_.path()));
  const DatasetReference reference{"ten", "train", 4};
  const auto digest = [&](StoredSamples samples) {
    return (*Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)), reference))
        ->digest();
  };
  EXPECT_EQ(digest(std::move(pickled)), digest(std::move(binary)));
}

TEST_F(CifarPicklesTest, NamesAreThoseOfTheMetaFile) {
  WritePickles(".");
  std::vector<std::string> names;
  for (char c = 'a'; c < 'k'; ++c) names.emplace_back(3, c);
  Write("batches.meta", PickleOfNames("label_names", names));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadCifar10Pickles("ten", folder_.path()));
  EXPECT_EQ(samples.class_names, names);
  names.pop_back();
  Write("batches.meta", PickleOfNames("label_names", names));
  EXPECT_THAT(ReadCifar10Pickles("ten", folder_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 9 names")));
}

TEST_F(CifarPicklesTest, TrainAndTestAreCifar100) {
  std::string labels(100, '\0');
  std::iota(labels.begin(), labels.end(), '\0');
  Write("train", Batch(labels, "fine_labels"));
  Write("test", Batch("\x63", "fine_labels"));
  EXPECT_TRUE(HoldsCifar100Pickles(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, ReadCifar100Pickles("hundred", folder_.path()));
  EXPECT_THAT(CheckSamples(samples), IsOk());
  EXPECT_EQ(samples.test.size(), 1);
}

TEST_F(CifarPicklesTest, WhatIsNotCifarIsNamed) {
  const auto says = [](const std::string& bytes) {
    return std::string(ParseCifarPickle(bytes, kCifar10, "data_batch_1").status().message());
  };
  EXPECT_THAT(says(Batch("\x0A")),
              AllOf(HasSubstr("data_batch_1: record 0 has the label 10"), HasSubstr("0 to 9")));
  EXPECT_THAT(says(Batch("\x01", "classes")), HasSubstr("no array \"data\" and list \"labels\""));
  EXPECT_THAT(says(PickleOfTwo("labels", {1}, Pixels("ab"), 3072)),
              HasSubstr("no array of bytes [1, 3072]"));
  EXPECT_THAT(says(PickleOfTwo("labels", {}, "", 3072)), HasSubstr("no array of bytes [0, 3072]"));
  EXPECT_THAT(says(PickleOfTwo("labels", {1, 2, 3}, Pixels("a"), 1024)),
              HasSubstr("no array of bytes"));
}

}  // namespace
}  // namespace distillery

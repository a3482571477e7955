// Data sets that are read from their files on demand: what they hold, what is damaged, and the side
// file that spares the next process the reading of all.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "common/data/catalog.h"
#include "common/data/numbers.h"
#include "tests/common/data/files.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kSamples = 100;
constexpr int64_t kShardSize = 10;

class DataOnDemand : public ::testing::Test {
 protected:
  DataOnDemand() {
    setenv("XDG_CACHE_HOME", cache_.path().c_str(), 1);
    WriteFiles();
  }
  ~DataOnDemand() override { unsetenv("XDG_CACHE_HOME"); }

  // 100 training images of 2 x 3 and ten for tests in ten classes.
  void WriteFiles() {
    ASSERT_THAT(MakeFolders(folder_.File("tiny")), IsOk());
    for (const auto& [split, count] : {std::pair("train", 100), std::pair("test", 10)}) {
      std::string labels;
      std::string images;
      for (int i = 0; i < count; ++i) {
        labels.push_back(static_cast<char>(i % 10));
        for (int pixel = 0; pixel < 6; ++pixel) {
          images.push_back(static_cast<char>(i * 31 + pixel * 7));
        }
      }
      const std::string size = std::to_string(count);
      ASSERT_THAT(WriteFileDurably(File(std::string(split) + "_images.npy"),
                                   NpyBytes("|u1", size + ", 2, 3", images)),
                  IsOk());
      ASSERT_THAT(WriteFileDurably(File(std::string(split) + "_labels.npy"),
                                   NpyBytes("|u1", size + ",", labels)),
                  IsOk());
    }
  }
  std::string File(const std::string& name) const { return folder_.File("tiny/" + name); }
  std::string SideFile() const { return File(".distillery/train-10.digests"); }

  // As another process would: nothing is known from before.
  absl::StatusOr<std::shared_ptr<const Dataset>> Open() {
    return DatasetCatalog(folder_.path()).Open({"tiny", "train", kShardSize});
  }
  // The digest of the same samples held in memory.
  static std::string DigestInMemory(const std::shared_ptr<const Dataset>& dataset) {
    StoredSamples samples;
    samples.name = "tiny";
    samples.spec = SampleSpec::Pictures(dataset->shape(), 255);
    samples.class_names = dataset->class_names();
    samples.records.resize(kSamples * 6);
    std::vector<int32_t> labels(kSamples);
    for (int64_t row = 0; row < kSamples; ++row) {
      const std::vector<uint8_t> pixels = PixelsOf(*dataset, row);
      std::copy(pixels.begin(), pixels.end(), &samples.records[dataset->StoredIndex(row) * 6]);
      labels[dataset->StoredIndex(row)] = dataset->Label(row);
    }
    samples.labels = LabelList(labels);
    samples.train = IndexList::Range(0, kSamples);
    return (*Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                             {"tiny", "train", kShardSize}))
        ->digest();
  }
  // Flips a bit of the last training image; size and modification time stay.
  void FlipLastPixel() const {
    struct stat before {};
    ASSERT_EQ(stat(File("train_images.npy").c_str(), &before), 0);
    const int file = open(File("train_images.npy").c_str(), O_RDWR | O_CLOEXEC);
    char byte = 0;
    ASSERT_EQ(pread(file, &byte, 1, before.st_size - 1), 1);
    byte ^= 1;
    ASSERT_EQ(pwrite(file, &byte, 1, before.st_size - 1), 1);
    const timespec times[] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(futimens(file, times), 0);
    close(file);
  }
  // The shard that the last training image lies in.
  static int64_t ShardOfLast(const Dataset& dataset) {
    int64_t row = 0;
    while (dataset.StoredIndex(row) != kSamples - 1) ++row;
    return row / kShardSize;
  }
  // Each shard but `damaged` can be read; that one's error.
  static absl::Status ReadShards(const Dataset& dataset, int64_t damaged) {
    absl::Status status;
    for (int64_t shard = 0; shard < dataset.shard_count(); ++shard) {
      std::vector<int64_t> rows(kShardSize);
      for (int64_t i = 0; i < kShardSize; ++i) rows[i] = shard * kShardSize + i;
      std::vector<uint8_t> pixels(kShardSize * 6);
      const absl::Status read = dataset.ReadRecords(rows, pixels.data());
      if (shard == damaged) {
        status = read;
      } else {
        EXPECT_THAT(read, IsOk()) << shard;
      }
    }
    return status;
  }

  const TemporaryFolder folder_;
  const TemporaryFolder cache_;
};

TEST_F(DataOnDemand, DigestIsThatOfTheSamplesInMemory) {
  ASSERT_OK_AND_ASSIGN(const auto dataset, Open());
  EXPECT_EQ(dataset->digest(), DigestInMemory(dataset));
  ASSERT_OK_AND_ASSIGN(const auto again, Open());
  EXPECT_EQ(again->digest(), dataset->digest());
  EXPECT_EQ(again->channel_sums(), dataset->channel_sums());
}

TEST_F(DataOnDemand, ManyRowsAreReadToTheirPlacesInAnyOrder) {
  ASSERT_OK_AND_ASSIGN(const auto dataset, Open());
  const std::vector<int64_t> rows = {99, 3, 3, 0, 57, 58, 59, 21};
  std::vector<uint8_t> pixels(rows.size() * 6);
  ASSERT_THAT(dataset->ReadRecords(rows, pixels.data()), IsOk());
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::vector<uint8_t> expected = PixelsOf(*dataset, rows[i]);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), &pixels[i * 6])) << i;
    EXPECT_EQ(expected[1], (dataset->StoredIndex(rows[i]) * 31 + 7) % 256);
  }
}

TEST_F(DataOnDemand, Fault32_AFileCutShortInMidRunIsDataLossByFileAndShardAndOtherShardsGoOn) {
  for (const char* const opening : {"first", "second"}) {
    WriteFiles();
    if (std::string(opening) == "second") {
      ASSERT_THAT(Open(), IsOk());
    }
    ASSERT_OK_AND_ASSIGN(const auto dataset, Open());
    const int64_t shard = ShardOfLast(*dataset);
    std::filesystem::resize_file(File("train_images.npy"),
                                 std::filesystem::file_size(File("train_images.npy")) - 1);
    EXPECT_THAT(
        ReadShards(*dataset, shard),
        StatusIs(kDataLoss,
                 AllOf(HasSubstr("tiny/train@10: shard " + std::to_string(shard) + ": "),
                       HasSubstr("train_images.npy is cut short"), Not(HasSubstr(folder_.path())))))
        << opening;
    float pixels[6];
    int64_t row = shard * kShardSize;
    while (dataset->StoredIndex(row) != kSamples - 1) ++row;
    EXPECT_THAT(LoadNumbers(*dataset, {row}, View{}, {{pixels}}), StatusIs(kDataLoss)) << opening;
  }
}

TEST_F(DataOnDemand, Fault32_AByteThatChangedUnseenIsDataLossWhenItsShardIsFirstRead) {
  ASSERT_THAT(Open(), IsOk());
  FlipLastPixel();
  ASSERT_OK_AND_ASSIGN(const auto dataset, Open());
  const int64_t shard = ShardOfLast(*dataset);
  EXPECT_THAT(
      ReadShards(*dataset, shard),
      StatusIs(kDataLoss, AllOf(HasSubstr("tiny/train@10: shard " + std::to_string(shard) + ": "),
                                HasSubstr("train_images.npy"), HasSubstr("SHA-256"))));
  FlipLastPixel();  // mended
  EXPECT_THAT(ReadShards(*dataset, shard), IsOk());
}

// While the data set is open, after its shards were read and found sound; whether this process
// computed the digests or took them from the side file.
TEST_F(DataOnDemand, Fault62_AByteThatRotsWhileTheDataAreInUseIsDataLossAtEachReadUntilItIsMended) {
  for (const char* const opening : {"first", "second"}) {
    ASSERT_OK_AND_ASSIGN(const auto dataset, Open());
    const int64_t shard = ShardOfLast(*dataset);
    ASSERT_THAT(ReadShards(*dataset, shard), IsOk());
    FlipLastPixel();
    for (int read = 0; read < 2; ++read) {
      EXPECT_THAT(ReadShards(*dataset, shard),
                  StatusIs(kDataLoss,
                           AllOf(HasSubstr("tiny/train@10: shard " + std::to_string(shard) + ": "),
                                 HasSubstr("train_images.npy"), HasSubstr("SHA-256"))))
          << opening;
    }
    int64_t row = shard * kShardSize;
    while (dataset->StoredIndex(row) != kSamples - 1) ++row;
    float pixels[6];
    EXPECT_THAT(LoadNumbers(*dataset, {row}, View{}, {{pixels}}), StatusIs(kDataLoss)) << opening;
    FlipLastPixel();  // mended
    EXPECT_THAT(ReadShards(*dataset, shard), IsOk()) << opening;
    EXPECT_THAT(LoadNumbers(*dataset, {row}, View{}, {{pixels}}), IsOk()) << opening;
  }
}

TEST_F(DataOnDemand, ATouchedFileIsReadAnew) {
  ASSERT_OK_AND_ASSIGN(const auto before, Open());
  FlipLastPixel();
  const timespec times[] = {{0, UTIME_OMIT}, {1700000000, 1}};
  ASSERT_EQ(utimensat(AT_FDCWD, File("train_images.npy").c_str(), times, 0), 0);
  ASSERT_OK_AND_ASSIGN(const auto after, Open());
  EXPECT_NE(after->digest(), before->digest());
  EXPECT_EQ(after->digest(), DigestInMemory(after));
  ASSERT_OK_AND_ASSIGN(const auto again, Open());
  EXPECT_EQ(again->digest(), after->digest());
  EXPECT_THAT(ReadShards(*again, -1), IsOk());
}

TEST_F(DataOnDemand, OtherNamesOfClassesGiveAnotherDigestWithoutReadingAnew) {
  ASSERT_OK_AND_ASSIGN(const auto before, Open());
  ASSERT_THAT(WriteFileDurably(File("classes.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n"), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto after, Open());
  EXPECT_NE(after->digest(), before->digest());
  EXPECT_EQ(after->digest(), DigestInMemory(after));
}

TEST_F(DataOnDemand, ADamagedSideFileIsIgnoredAndWrittenAnew) {
  ASSERT_OK_AND_ASSIGN(const auto dataset, Open());
  ASSERT_OK_AND_ASSIGN(const std::string whole, ReadFile(SideFile(), 1 << 20));
  std::vector<std::string> damaged = {"", "x", whole + "x", whole.substr(0, whole.size() / 2)};
  for (const size_t at : {size_t{0}, whole.size() / 2, whole.size() - 2}) {
    damaged.push_back(whole);
    damaged.back()[at] ^= 1;
  }
  for (const std::string& bytes : damaged) {
    ASSERT_THAT(WriteFileDurably(SideFile(), bytes), IsOk());
    ASSERT_OK_AND_ASSIGN(const auto again, Open());
    EXPECT_EQ(again->digest(), dataset->digest());
    EXPECT_EQ(*ReadFile(SideFile(), 1 << 20), whole);
  }
}

// A sound one with other digests: of other data of the same sizes and times.
TEST_F(DataOnDemand, ASideFileOfOtherDataIsFoundOutWhenAShardIsRead) {
  ASSERT_THAT(Open(), IsOk());
  ASSERT_OK_AND_ASSIGN(std::string text, ReadFile(SideFile(), 1 << 20));
  constexpr size_t kCrcLineBytes = 16;
  text.resize(text.size() - kCrcLineBytes);
  char& digit = text[text.size() - 2];  // of the last shard
  digit = digit == '0' ? '1' : '0';
  char crc[kCrcLineBytes + 1];
  std::snprintf(crc, sizeof(crc), "crc32c %08x\n", Crc32c(text));
  ASSERT_THAT(WriteFileDurably(SideFile(), text + crc), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto dataset, Open());
  EXPECT_THAT(ReadShards(*dataset, 9), StatusIs(kDataLoss, HasSubstr("shard 9")));
}

TEST_F(DataOnDemand, WhereTheDataCannotBeWrittenTheUsersCacheHoldsTheSideFile) {
  // A file in the place of the folder: what is read-only for others, root may write.
  ASSERT_THAT(WriteFileDurably(File(".distillery"), ""), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto dataset, Open());
  EXPECT_FALSE(std::filesystem::is_empty(cache_.File("distillery")));
  FlipLastPixel();
  ASSERT_OK_AND_ASSIGN(const auto again, Open());
  EXPECT_EQ(again->digest(), dataset->digest()) << "taken from the side file";
  // And where nothing can be written, each process computes it.
  std::filesystem::remove_all(cache_.File("distillery"));
  ASSERT_THAT(WriteFileDurably(cache_.File("distillery"), ""), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto computed, Open());
  EXPECT_NE(computed->digest(), dataset->digest());
}

TEST_F(DataOnDemand, ManyThreadsReadAtOnce) {
  ASSERT_THAT(Open(), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto dataset, Open());
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&dataset, thread] {
      for (int64_t i = 0; i < kSamples; ++i) {
        const int64_t row = (i * 7 + thread * 13) % kSamples;
        EXPECT_EQ(PixelsOf(*dataset, row)[2], (dataset->StoredIndex(row) * 31 + 14) % 256);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(DataOnDemand, CifarAndIdxAreReadOnDemandToo) {
  const std::string ten = folder_.File("ten");
  ASSERT_THAT(MakeFolders(ten), IsOk());
  for (int i = 1; i <= 6; ++i) {
    const std::string name = i == 6 ? "test_batch" : "data_batch_" + std::to_string(i);
    std::string records;
    for (int record = 0; record < 2; ++record) {
      records += std::string(1, static_cast<char>(i)) +
                 std::string(3072, static_cast<char>(10 * i + record));
    }
    ASSERT_THAT(WriteFileDurably(ten + "/" + name + ".bin", records), IsOk());
  }
  WriteIdxFolder(folder_.File("idx"));
  for (const char* const opening : {"first", "second"}) {
    DatasetCatalog catalog(folder_.path());
    ASSERT_OK_AND_ASSIGN(const auto cifar, catalog.Open({"ten", "train", 3}));
    for (int64_t row = 0; row < 10; ++row) {
      const int64_t stored = cifar->StoredIndex(row);
      const auto expected = static_cast<uint8_t>(10 * (stored / 2 + 1) + stored % 2);
      EXPECT_EQ(PixelsOf(*cifar, row), std::vector<uint8_t>(3072, expected)) << opening;
      EXPECT_EQ(cifar->Label(row), stored / 2 + 1);
    }
    ASSERT_OK_AND_ASSIGN(const auto idx, catalog.Open({"idx", "test", 3}));
    EXPECT_EQ(PixelsOf(*idx, 0), (std::vector<uint8_t>{0x30, 0x31})) << opening;
  }
  EXPECT_TRUE(FileExists(ten + "/.distillery/train-3.digests"));
}

}  // namespace
}  // namespace distillery

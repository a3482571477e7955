#include "teacher_service/shard_reader.h"

#include "common/data/catalog.h"
#include "common/data/pixels.h"
#include "tests/common/status_matchers.h"
#include "tests/teacher_service/fake_teacher.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kRowBytes = kFakeClasses * 4;

// Shards of 100 rows of the built-in digits, computed in cuts of 32: 32 + 32 + 32 + 4.
class ShardReaderTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK_AND_ASSIGN(dataset_, catalog_.Open({"digits", "train", 100})); }
  std::unique_ptr<ShardReader> Open(int64_t shard, const View& view = View{}) {
    auto reader = ShardReader::Create(&teacher_, dataset_, shard, view, SoftTargetFormat{});
    EXPECT_THAT(reader, IsOk());
    return *std::move(reader);
  }
  // Every row from `row` on.
  static std::string ReadFrom(ShardReader* reader, int64_t row, int64_t max_bytes) {
    std::string bytes;
    while (row < reader->row_count()) {
      const auto piece = reader->Read(row, max_bytes);
      EXPECT_THAT(piece, IsOk());
      EXPECT_EQ(piece->start_row, row);
      EXPECT_EQ(piece->values.size(), piece->rows * kRowBytes);
      bytes += piece->values;
      row += piece->rows;
    }
    return bytes;
  }

  DatasetCatalog catalog_{""};
  std::shared_ptr<const Dataset> dataset_;
  FakeTeacherProbe probe_;
  FakeTeacher teacher_{/*batch_rows=*/32, &probe_};
};

TEST_F(ShardReaderTest, ReadsAShardAsTheTeacherComputesIt) {
  const auto reader = Open(/*shard=*/3);
  ASSERT_EQ(reader->row_count(), 100);
  const std::string bytes = ReadFrom(reader.get(), 0, 1 << 20);
  ASSERT_EQ(bytes.size(), 100 * kRowBytes);
  for (const int64_t row : {0, 31, 32, 99}) {
    std::vector<float> pixels(kFakePixels);
    LoadPixels(*dataset_, {300 + row}, View{}, pixels.data());
    const int64_t rows_in_cut = row < 96 ? 32 : 4;
    float got = 0;
    std::memcpy(&got, &bytes[row * kRowBytes + 4 * 7], sizeof(got));
    EXPECT_EQ(got, FakeTeacher::Logit(pixels.data(), rows_in_cut, row % 32, /*c=*/7)) << row;
  }
}

TEST_F(ShardReaderTest, BitsDoNotDependOnTheStartRow) {
  const std::string whole = ReadFrom(Open(0).get(), 0, 1 << 20);
  for (int64_t start = 0; start < 100; ++start) {
    EXPECT_EQ(ReadFrom(Open(0).get(), start, 1 << 20), whole.substr(start * kRowBytes)) << start;
  }
}

TEST_F(ShardReaderTest, BitsDoNotDependOnThePieceSize) {
  const std::string whole = ReadFrom(Open(0).get(), 0, 1 << 20);
  for (const int64_t max_bytes : {int64_t{1}, kRowBytes, 3 * kRowBytes + 1, 7 * kRowBytes}) {
    EXPECT_EQ(ReadFrom(Open(0).get(), 0, max_bytes), whole) << max_bytes;
  }
}

TEST_F(ShardReaderTest, APieceHoldsWholeRowsUpToTheEndOfItsCut) {
  const auto reader = Open(0);
  EXPECT_EQ(reader->Read(0, 1 << 20)->rows, 32);
  EXPECT_EQ(reader->Read(30, 1 << 20)->rows, 2);            // rows 30 and 31 end the cut
  EXPECT_EQ(reader->Read(96, 1 << 20)->rows, 4);            // the shard's last cut is short
  EXPECT_EQ(reader->Read(0, 3 * kRowBytes + 39)->rows, 3);  // 3 rows and 39 of 40 bytes
  EXPECT_EQ(reader->Read(0, 1)->rows, 1);                   // never less than one row
}

TEST_F(ShardReaderTest, ComputesEachCutOnce) {
  ReadFrom(Open(0).get(), 0, kRowBytes);
  EXPECT_EQ(probe_.calls.load(), 4);
  EXPECT_EQ(probe_.rows.load(), 100);
}

TEST_F(ShardReaderTest, TheLastShardIsShort) {
  ASSERT_OK_AND_ASSIGN(dataset_, catalog_.Open({"digits", "test", 100}));
  EXPECT_EQ(Open(3)->row_count(), 97);  // 397 rows
}

TEST_F(ShardReaderTest, ViewsShowOtherPictures) {
  View view;
  ASSERT_OK_AND_ASSIGN(view.augmentation, Augmentation::Parse("jitter:2"));
  view.seed = 5;
  const std::string first = ReadFrom(Open(0, view).get(), 0, 1 << 20);
  EXPECT_EQ(ReadFrom(Open(0, view).get(), 0, 1 << 20), first);
  view.view = 1;
  EXPECT_NE(ReadFrom(Open(0, view).get(), 0, 1 << 20), first);
  EXPECT_NE(ReadFrom(Open(0).get(), 0, 1 << 20), first);
}

TEST_F(ShardReaderTest, AFailedCutIsComputedAgain) {
  probe_.before = [](int64_t call) {
    return call == 0 ? absl::ResourceExhaustedError("no memory") : absl::OkStatus();
  };
  const auto reader = Open(0);
  EXPECT_THAT(reader->Read(0, 1 << 20), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(reader->Read(0, 1 << 20), IsOk());
  EXPECT_EQ(probe_.calls.load(), 2);
}

TEST_F(ShardReaderTest, RefusesDataThatDoesNotFitTheTeacher) {
  StoredSamples samples;
  samples.name = "wide";
  samples.shape = {1, 8, 9};
  samples.class_names = std::vector<std::string>(kFakeClasses, "c");
  samples.pixels.assign(72, 0);
  samples.labels = {0};
  samples.train = {0};
  ASSERT_OK_AND_ASSIGN(
      const auto wide,
      Dataset::Create(std::make_shared<const StoredSamples>(samples), {"wide", "train", 1}));
  EXPECT_THAT(ShardReader::Create(&teacher_, wide, 0, View{}, SoftTargetFormat{}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("1 x 8 x 9")));
}

TEST_F(ShardReaderTest, UnknownShardIsNotFound) {
  EXPECT_THAT(ShardReader::Create(&teacher_, dataset_, 14, View{}, SoftTargetFormat{}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("0 to 13")));  // 1400 rows
  EXPECT_THAT(ShardReader::Create(&teacher_, dataset_, -1, View{}, SoftTargetFormat{}),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace distillery

// All who read one set of weights at a time share one mapping of it, and its checksums.
#include "coordinator/broadcast.h"

#include "common/base/checksum.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

std::string Content(size_t size) {
  std::string content;
  for (size_t i = 0; i < size; ++i) content.push_back(static_cast<char>(i * 31 >> 3));
  return content;
}

TEST(Broadcasts, ShareTheFileWhileItIsRead) {
  const TemporaryFolder folder;
  ASSERT_THAT(WriteFileDurably(folder.File("w"), "weights"), IsOk());
  Broadcasts broadcasts;
  ASSERT_OK_AND_ASSIGN(auto first, broadcasts.Open(folder.File("w")));
  ASSERT_OK_AND_ASSIGN(const auto second, broadcasts.Open(folder.File("w")));
  EXPECT_EQ(first, second);
  // A reader keeps what it reads.
  ASSERT_THAT(RemoveFile(folder.File("w")), IsOk());
  EXPECT_EQ(second->bytes(), "weights");
}

TEST(Broadcasts, ForgetWhatNobodyReads) {
  const TemporaryFolder folder;
  ASSERT_THAT(WriteFileDurably(folder.File("w"), "weights"), IsOk());
  Broadcasts broadcasts;
  ASSERT_THAT(broadcasts.Open(folder.File("w")), IsOk());
  ASSERT_THAT(RemoveFile(folder.File("w")), IsOk());
  EXPECT_THAT(broadcasts.Open(folder.File("w")), StatusIs(absl::StatusCode::kNotFound));
}

TEST(Broadcasts, SeeAFileThatTookThePlaceOfOneThatIsRead) {
  const TemporaryFolder folder;
  ASSERT_THAT(WriteFileDurably(folder.File("w"), "damaged"), IsOk());
  Broadcasts broadcasts;
  ASSERT_OK_AND_ASSIGN(const auto damaged, broadcasts.Open(folder.File("w")));
  ASSERT_THAT(WriteFileDurably(folder.File("w"), "repaired"), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto repaired, broadcasts.Open(folder.File("w")));
  EXPECT_EQ(repaired->bytes(), "repaired");
  EXPECT_EQ(damaged->bytes(), "damaged");
}

class BroadcastFileTest : public ::testing::TestWithParam<size_t> {};

TEST_P(BroadcastFileTest, ChecksumsInAnyOrderAreThoseOfTheBytes) {
  const TemporaryFolder folder;
  const std::string content = Content(GetParam());
  ASSERT_THAT(WriteFileDurably(folder.File("w"), content), IsOk());
  Broadcasts broadcasts;
  for (const bool whole_first : {true, false}) {
    ASSERT_OK_AND_ASSIGN(const auto file, broadcasts.Open(folder.File("w")));
    if (whole_first) {
      EXPECT_EQ(file->Checksum(), Crc32c(content));
    }
    std::string joined;
    for (int64_t i = file->chunk_count() - 1; i >= 0; --i) {
      EXPECT_EQ(file->ChecksumOfChunk(i), Crc32c(file->Chunk(i)));
      joined.insert(0, std::string(file->Chunk(i)));
    }
    EXPECT_EQ(joined, content);
    EXPECT_EQ(file->Checksum(), Crc32c(content));
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, BroadcastFileTest,
                         ::testing::Values(1, BroadcastFile::kChunkBytes - 1,
                                           BroadcastFile::kChunkBytes,
                                           3 * BroadcastFile::kChunkBytes + 5));

}  // namespace
}  // namespace distillery

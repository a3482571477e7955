// Weights that are sent are verified once, shared by all who send them, and never sent damaged.
#include "coordinator/broadcast.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include "common/base/checksum.h"
#include "common/base/files.h"
#include "coordinator/encoded_weights.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"
#include "tests/common/tensor_file.h"

namespace distillery {
namespace {

std::string Content(size_t size) {
  std::string content;
  for (size_t i = 0; i < size; ++i) content.push_back(static_cast<char>(i * 31 >> 3));
  return content;
}

class BroadcastsTest : public ::testing::Test {
 protected:
  void Write(const std::string& content) {
    ASSERT_THAT(WriteFileDurably(path_, content), IsOk());
    sha256_ = Sha256Hex(content);
  }
  // In the file itself, as a disk does it.
  void Flip(int64_t at) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const auto byte = static_cast<char>(file.peek() ^ 1);
    file.seekp(at);
    file.put(byte);
  }
  auto Open() { return broadcasts_.Open(path_, sha256_); }
  static absl::StatusOr<std::string> ReadAll(const BroadcastFile& file) {
    std::string bytes(static_cast<size_t>(file.size()), '\0');
    const absl::Status read = file.ReadAt(0, file.size(), bytes.data());
    if (!read.ok()) return read;
    return bytes;
  }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.File("w");
  std::string sha256_;
  Broadcasts broadcasts_;
};

TEST_F(BroadcastsTest, ShareTheFileAndItsChunksWhileTheyAreRead) {
  Write("weights");
  ASSERT_OK_AND_ASSIGN(const auto first, Open());
  ASSERT_OK_AND_ASSIGN(const auto second, Open());
  EXPECT_EQ(first, second);
  ASSERT_OK_AND_ASSIGN(const auto chunk, first->Chunk(0));
  EXPECT_EQ(*second->Chunk(0), chunk);
  // A reader keeps what it reads.
  ASSERT_THAT(RemoveFile(path_), IsOk());
  EXPECT_EQ(*ReadAll(*second), "weights");
}

TEST_F(BroadcastsTest, WhatIsGoneIsNotFound) {
  Write("weights");
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(RemoveFile(path_), IsOk());
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(BroadcastsTest, SeeAFileThatTookThePlaceOfOneThatIsRead) {
  Write("damaged");
  ASSERT_OK_AND_ASSIGN(const auto damaged, Open());
  Write("repaired");
  ASSERT_OK_AND_ASSIGN(const auto repaired, Open());
  EXPECT_EQ(*ReadAll(*repaired), "repaired");
  EXPECT_EQ(*ReadAll(*damaged), "damaged");
}

TEST_F(BroadcastsTest, Fault62_AFileThatIsNotWhatTheRecordSaysIsNotOpened) {
  Write(Content(3 << 20));
  Flip(2 << 20);
  EXPECT_THAT(Open(), StatusIs(kDataLoss));
  Flip(2 << 20);
  EXPECT_THAT(Open(), IsOk()) << "the bytes were put back";
}

TEST_F(BroadcastsTest, Fault62_BytesThatRotAfterTheFirstReadAreNeverGivenOut) {
  const std::string content = Content(3 << 20);
  Write(content);
  for (const bool open_meanwhile : {true, false}) {
    auto file = *Open();
    if (!open_meanwhile) file.reset();
    Flip((1 << 20) + 7);
    if (!open_meanwhile) file = *Open();  // verified before, so it is not read again
    EXPECT_THAT(file->Chunk(0), IsOk());
    EXPECT_THAT(file->Chunk(1), StatusIs(kDataLoss));
    EXPECT_THAT(file->Chunk(2), IsOk());
    EXPECT_TRUE(file->damaged());
    EXPECT_THAT(Open(), StatusIs(kDataLoss)) << "found at the next opening too";
    Flip((1 << 20) + 7);
    ASSERT_OK_AND_ASSIGN(const auto again, Open());
    EXPECT_EQ(*ReadAll(*again), content);
  }
}

TEST_F(BroadcastsTest, Fault62_AFileThatIsCutShortWhileItIsSentEndsWithAnErrorAndNoSignal) {
  Write(Content(3 << 20));
  ASSERT_OK_AND_ASSIGN(const auto file, Open());
  ASSERT_THAT(file->Chunk(0), IsOk());
  std::filesystem::resize_file(path_, 1000);
  for (int64_t i = 0; i < 3; ++i) EXPECT_THAT(file->Chunk(i), StatusIs(kDataLoss));
  EXPECT_THAT(Open(), StatusIs(kDataLoss));
}

TEST_F(BroadcastsTest, ManyWhoOpenAtOnceGetOneFile) {
  Write(Content(5 << 20));
  std::vector<std::shared_ptr<const BroadcastFile>> got(8);
  std::vector<std::thread> threads;
  for (auto& one : got) threads.emplace_back([this, &one] { one = *Open(); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& one : got) EXPECT_EQ(one, got[0]);
}

class BroadcastFileTest : public BroadcastsTest, public ::testing::WithParamInterface<size_t> {};

TEST_P(BroadcastFileTest, ChecksumsInAnyOrderAreThoseOfTheBytes) {
  const std::string content = Content(GetParam());
  Write(content);
  ASSERT_OK_AND_ASSIGN(const auto file, Open());
  std::string joined;
  for (int64_t i = file->chunk_count() - 1; i >= 0; --i) {
    ASSERT_OK_AND_ASSIGN(const auto chunk, file->Chunk(i));
    EXPECT_EQ(chunk->crc32c, Crc32c(chunk->bytes));
    joined.insert(0, chunk->bytes);
  }
  EXPECT_TRUE(joined == content);
  EXPECT_TRUE(*ReadAll(*file) == content);
  EXPECT_EQ(file->Checksum(), Crc32c(content));
  // Across the borders of chunks.
  std::string part(content.size() / 2, '\0');
  ASSERT_THAT(file->ReadAt(static_cast<int64_t>(content.size() / 3),
                           static_cast<int64_t>(part.size()), part.data()),
              IsOk());
  EXPECT_TRUE(part == content.substr(content.size() / 3, part.size()));
}

INSTANTIATE_TEST_SUITE_P(Sizes, BroadcastFileTest,
                         ::testing::Values(1, BroadcastFile::kChunkBytes - 1,
                                           BroadcastFile::kChunkBytes,
                                           3 * BroadcastFile::kChunkBytes + 5));

class EncodedWeightsTest : public ::testing::Test {
 protected:
  // Tensors whose reading first calls `before`.
  TensorSource Weights(std::function<void()> before) {
    return *TensorSource::Open(
        static_cast<int64_t>(file_.size()),
        [this, before = std::move(before)](int64_t offset, int64_t bytes, char* output) {
          // The header is read when the source is opened.
          if (offset > 8) before();
          file_.copy(output, static_cast<size_t>(bytes), static_cast<size_t>(offset));
          return absl::OkStatus();
        });
  }
  absl::StatusOr<std::string> Make(const std::string& name, std::function<void()> before) {
    return encoded_.Make(Weights(std::move(before)), {}, folder_.File(name),
                         folder_.File(name + ".new"));
  }

  const TemporaryFolder folder_;
  const std::string file_ = MakeTensorFile({{"w", {1, 2}}});
  EncodedWeights encoded_;
};

TEST_F(EncodedWeightsTest, OneThatTakesLongHoldsNoOtherAndIsMadeOnce) {
  std::atomic<int> made = 0;
  std::atomic<bool> other_done = false;
  std::vector<std::thread> threads;
  std::vector<std::string> digests(4);
  for (std::string& digest : digests) {
    threads.emplace_back([&] {
      digest = *Make("slow", [&] {
        ++made;
        while (!other_done) std::this_thread::yield();
      });
    });
  }
  while (made == 0) std::this_thread::yield();
  // Would never end if it waited for the slow one.
  ASSERT_OK_AND_ASSIGN(const std::string other, Make("other", [] {}));
  other_done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  for (const std::string& digest : digests) EXPECT_EQ(digest, other) << "of the same weights";
}

TEST_F(EncodedWeightsTest, AFileThatIsLostOrForgottenIsMadeAnew) {
  int made = 0;
  const auto count = [&] { ++made; };
  ASSERT_THAT(Make("w", count), IsOk());
  ASSERT_THAT(Make("w", count), IsOk());
  EXPECT_EQ(made, 1);
  ASSERT_THAT(RemoveFile(folder_.File("w")), IsOk());
  ASSERT_THAT(Make("w", count), IsOk());
  EXPECT_EQ(made, 2);
  encoded_.Forget(folder_.File("w"));
  ASSERT_THAT(Make("w", count), IsOk());
  EXPECT_EQ(made, 3);
}

}  // namespace
}  // namespace distillery

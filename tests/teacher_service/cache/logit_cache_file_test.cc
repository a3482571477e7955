// Keys, file names, the index, and what the cache's tests do not see of its files.
#include "teacher_service/cache/logit_cache_file.h"

#include <gmock/gmock.h>
#include <sys/file.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "teacher_service/cache/logit_cache_index.h"
#include "teacher_service/cache/unfinished_logit_file.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::SizeIs;
using ::testing::StartsWith;

absl::Status WriteInPlace(const std::string& path, int64_t at, char byte) {
  std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(at);
  stream.put(byte);
  return stream.flush() ? absl::OkStatus() : absl::UnknownError(path);
}

LogitKey SomeKey() { return {"0123456789abcdef0123", "fedcba9876543210fedc", 12, "none", 0, 1}; }
// 719,600 bytes: more than one read.
LogitFileSpec LargeSpec() { return {SomeKey(), 700, 257, StoredType::kFloat32}; }

// Returns the logits of the file that it makes.
absl::StatusOr<std::string> WriteLogits(const std::string& path, const LogitFileSpec& spec) {
  std::string logits(static_cast<size_t>(spec.payload_bytes()), '\0');
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<char>(i * 7 + i / 256);
  DISTILLERY_ASSIGN_OR_RETURN(const auto file, UnfinishedLogitFile::Create(path, spec));
  DISTILLERY_RETURN_IF_ERROR(file->Write(0, logits));
  DISTILLERY_RETURN_IF_ERROR(file->Complete(absl::UnixEpoch()).status());
  DISTILLERY_RETURN_IF_ERROR(file->Rename());
  return logits;
}

TEST(LogitKey, NamesItsFileReadably) {
  EXPECT_EQ(SomeKey().ToString(),
            "teacher \"0123456789abcdef0123\" dataset \"fedcba9876543210fedc\" shard 12 "
            "augmentation \"none\" seed 0 view 1");
  EXPECT_EQ(LogitFilePath(SomeKey(), StoredType::kFloat16),
            "0123456789abcdef/fedcba9876543210/shard-000012-view-000001-" +
                Sha256Hex(SomeKey().ToString()).substr(0, 8) + ".f16.logits");
}

TEST(LogitKey, UnlikeKeysHaveUnlikeTexts) {
  std::set<std::string> texts;
  const std::vector<LogitKey> keys = {{"a", "b", 1, "c", 2, 3},
                                      {"ab", "", 1, "c", 2, 3},
                                      {"", "ab", 1, "c", 2, 3},
                                      {"a\"", "b", 1, "c", 2, 3},
                                      {"a\\\"", "b", 1, "c", 2, 3},
                                      {"a", "b", 1, "c\" seed 2", 2, 3},
                                      {"a", "b", 11, "c", 2, 3},
                                      {"a", "b", 1, "c", 23, 0},
                                      {"a", "b", 1, "c", 2, 30},
                                      {"a\n", "b", 1, "c", 2, 3},
                                      {"a\\n", "b", 1, "c", 2, 3},
                                      {"a\x01"
                                       "1",
                                       "b", 1, "c", 2, 3},
                                      {"a\x11", "b", 1, "c", 2, 3},
                                      {"a", "b", -1, "c", -2, -3}};
  for (const LogitKey& key : keys) texts.insert(key.ToString());
  EXPECT_THAT(texts, SizeIs(keys.size()));
}

TEST(LogitKey, Fault48_TextsFromOutsideNeverLeadOutOfTheFolder) {
  const std::string nul("\0x", 2);
  for (const std::string& text :
       {std::string(), std::string(".."), std::string("../../etc"), std::string("/etc/passwd"),
        std::string("a/b"), nul, std::string("."), std::string(1 << 20, '/'),
        std::string("\xff\xfe"), std::string("a b\n")}) {
    for (const int64_t number : {INT64_MIN, int64_t{-1}, int64_t{0}, INT64_MAX}) {
      const std::string path =
          LogitFilePath({text, text, number, text, number, number}, StoredType::kFloat32);
      EXPECT_THAT(path, MatchesRegex("[0-9a-f]+/[0-9a-f]+/shard--?[0-9]+-view--?[0-9]+-"
                                     "[0-9a-f]+.f32.logits"));
      EXPECT_LT(path.size(), 150);
    }
  }
}

TEST(LogitKey, FileNamesAreTold) {
  for (const int64_t number : {INT64_MIN, int64_t{-1}, int64_t{7}, INT64_MAX}) {
    for (const StoredType type : {StoredType::kFloat16, StoredType::kFloat32}) {
      const std::string path = LogitFilePath({"a", "b", number, "", 0, number}, type);
      EXPECT_TRUE(IsLogitFileName(BaseName(path))) << path;
      EXPECT_FALSE(IsTemporaryLogitFileName(BaseName(path)));
      const std::string temporary = TemporaryLogitFilePath(path);
      EXPECT_THAT(temporary, StartsWith(path));
      EXPECT_NE(TemporaryLogitFilePath(path), temporary);
      EXPECT_TRUE(IsTemporaryLogitFileName(BaseName(temporary))) << temporary;
      EXPECT_FALSE(IsLogitFileName(BaseName(temporary)));
    }
  }
  for (const char* const name :
       {"", "x.logits", "shard-1-view-1-0123456.f32.logits", "shard-1-view-1-01234567.f64.logits",
        "shard--view-1-01234567.f32.logits", "shard-1-view-1-0123456g.f32.logits",
        "shard-1-view-1-01234567.f32.logits.bak", "xshard-1-view-1-01234567.f32.logits"}) {
    EXPECT_FALSE(IsLogitFileName(name)) << name;
    EXPECT_FALSE(IsTemporaryLogitFileName(std::string(name) + ".tmp")) << name;
  }
}

// The layout is what other versions and other programs read.
TEST(LogitCacheFormat, HasItsNumbersWhereTheyBelong) {
  const TemporaryFolder folder;
  const LogitFileSpec spec{SomeKey(), 2, 3, StoredType::kFloat16};
  const std::string path = folder.File("a");
  {
    ASSERT_OK_AND_ASSIGN(const auto file, UnfinishedLogitFile::Create(path, spec));
    ASSERT_THAT(file->Write(1, "ghijkl"), IsOk());
    ASSERT_THAT(file->Write(0, "abcdef"), IsOk());
    ASSERT_THAT(file->Complete(absl::UnixEpoch() + absl::Seconds(5)), IsOk());
    ASSERT_THAT(file->Rename(), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(path, 1000));
  ASSERT_THAT(bytes, SizeIs(128 + 12));
  const auto number = [&](size_t offset, size_t size) {
    uint64_t value = 0;
    for (size_t i = size; i > 0; --i) {
      value = value << 8 | static_cast<unsigned char>(bytes[offset + i - 1]);
    }
    return value;
  };
  EXPECT_EQ(bytes.substr(0, 8), "DSTLOGIT");
  EXPECT_EQ(number(8, 4), 1);   // version
  EXPECT_EQ(number(12, 4), 2);  // float16
  EXPECT_EQ(number(16, 8), 2);
  EXPECT_EQ(number(24, 8), 3);
  EXPECT_EQ(bytes.substr(32, 64), Sha256Hex(SomeKey().ToString()));
  EXPECT_EQ(bytes.substr(96, 24), std::string(24, '\0'));
  EXPECT_EQ(number(120, 4), Crc32c("abcdefghijkl"));
  EXPECT_EQ(number(124, 4), Crc32c(bytes.substr(0, 124)));
  EXPECT_EQ(bytes.substr(128), "abcdefghijkl");
}

TEST(LogitFile, FilesLargerThanOneReadAreCheckedToTheirEnd) {
  const TemporaryFolder folder;
  const std::string path = folder.File("a");
  const LogitFileSpec spec = LargeSpec();
  ASSERT_OK_AND_ASSIGN(const std::string logits, WriteLogits(path, spec));
  ASSERT_OK_AND_ASSIGN(const LogitFile sound, LogitFile::Open(path));
  ASSERT_OK_AND_ASSIGN(const auto checksums, sound.Check(spec));
  EXPECT_EQ(checksums->all, Crc32c(logits));
  ASSERT_OK_AND_ASSIGN(const auto opened, sound.Logits(spec, checksums));
  std::string read(logits.size(), '\0');
  ASSERT_THAT(opened->Read(0, 700, read.data()), IsOk());
  EXPECT_TRUE(read == logits);
  ASSERT_OK_AND_ASSIGN(std::string bytes, ReadFile(path, 1 << 20));
  for (const size_t at : {size_t{128}, size_t{128} + 262144, bytes.size() - 1}) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    ASSERT_THAT(WriteFileDurably(path, damaged), IsOk());
    ASSERT_OK_AND_ASSIGN(const LogitFile file, LogitFile::Open(path));
    EXPECT_THAT(file.CheckHeader(spec), IsOk());
    EXPECT_THAT(file.Check(spec), StatusIs(absl::StatusCode::kDataLoss)) << at;
  }
}

// Whatever rows are read, and wherever the damage is: those that lie in a damaged block are
// refused, all others are as they were written, with the right checksum.
TEST(LogitFile, Fault62_DamageAfterTheCheckIsFoundByEachReadOfItsBlock) {
  const TemporaryFolder folder;
  const std::string path = folder.File("a");
  const LogitFileSpec spec = LargeSpec();
  ASSERT_OK_AND_ASSIGN(const std::string logits, WriteLogits(path, spec));
  ASSERT_OK_AND_ASSIGN(const LogitFile file, LogitFile::Open(path));
  ASSERT_OK_AND_ASSIGN(const auto checksums, file.Check(spec));
  ASSERT_OK_AND_ASSIGN(const auto opened, file.Logits(spec, checksums));
  ASSERT_EQ(opened->block_rows(), 63);
  std::mt19937 random(62);
  int refused = 0;
  for (int round = 0; round < 500; ++round) {
    const auto at = static_cast<int64_t>(random() % logits.size());
    const char sound = logits[static_cast<size_t>(at)];
    ASSERT_THAT(
        WriteInPlace(path, kLogitHeaderBytes + at, static_cast<char>(sound ^ (1 << random() % 8))),
        IsOk());
    const auto first = static_cast<int64_t>(random() % 700);
    const auto count = static_cast<int64_t>(random() % static_cast<uint64_t>(701 - first));
    std::string rows(static_cast<size_t>(count * spec.row_bytes()), '\0');
    uint32_t crc = 0;
    const absl::Status read = opened->Read(first, count, rows.data(), &crc);
    const int64_t block = at / spec.row_bytes() / 63;
    const bool damaged = count > 0 && first / 63 <= block && (first + count - 1) / 63 >= block;
    refused += damaged ? 1 : 0;
    if (damaged) {
      EXPECT_THAT(read, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("a has damaged logits")));
    } else {
      ASSERT_THAT(read, IsOk());
      EXPECT_TRUE(rows ==
                  logits.substr(static_cast<size_t>(first * spec.row_bytes()), rows.size()));
      EXPECT_EQ(crc, Crc32c(rows));
    }
    ASSERT_THAT(WriteInPlace(path, kLogitHeaderBytes + at, sound), IsOk());
  }
  EXPECT_GT(refused, 50);
  EXPECT_LT(refused, 450);
}

TEST(LogitFile, AFileCutShortUnderAReaderIsDataLossAndNamesNoFolder) {
  const TemporaryFolder folder;
  const std::string path = folder.File("a");
  const LogitFileSpec spec{SomeKey(), 3, 1, StoredType::kFloat32};
  {
    ASSERT_OK_AND_ASSIGN(const auto file, UnfinishedLogitFile::Create(path, spec));
    ASSERT_THAT(file->Write(0, "abcdefghijkl"), IsOk());
    ASSERT_THAT(file->Complete(absl::UnixEpoch()), IsOk());
    ASSERT_THAT(file->Rename(), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(const LogitFile file, LogitFile::Open(path));
  ASSERT_OK_AND_ASSIGN(const auto checksums, file.Check(spec));
  ASSERT_OK_AND_ASSIGN(const auto opened, file.Logits(spec, checksums));
  char rows[12];
  ASSERT_THAT(opened->Read(0, 2, rows), IsOk());
  EXPECT_EQ(absl::string_view(rows, 8), "abcdefgh");
  std::filesystem::resize_file(path, 128 + 8);
  EXPECT_THAT(opened->Read(1, 2, rows),
              StatusIs(absl::StatusCode::kDataLoss, "cannot read a: cut short"));
}

TEST(UnfinishedLogitFile, IsLeftBehindWhenNobodyLocksIt) {
  const TemporaryFolder folder;
  const LogitFileSpec spec{SomeKey(), 2, 3, StoredType::kFloat16};
  const std::string path = folder.File(BaseName(LogitFilePath(spec.key, spec.type)));
  const auto names = [&] {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      found.push_back(entry.path().string());
    }
    return found;
  };
  ASSERT_OK_AND_ASSIGN(auto file, UnfinishedLogitFile::Create(path, spec));
  ASSERT_THAT(names(), SizeIs(1));
  const std::string held = names().front();
  UnfinishedLogitFile::RemoveIfLeftBehind(held, absl::Now() + absl::Hours(48));
  EXPECT_TRUE(FileExists(held));  // however old it is
  file.reset();
  EXPECT_FALSE(FileExists(held));
  ASSERT_THAT(WriteFileDurably(held, "left"), IsOk());
  UnfinishedLogitFile::RemoveIfLeftBehind(held, absl::UnixEpoch());
  EXPECT_FALSE(FileExists(held));
}

TEST(LogitCacheIndex, KeepsBytesAndOrderOfUse) {
  const auto at = [](int64_t second) { return absl::FromUnixSeconds(second); };
  LogitCacheIndex index;
  index.Put("a", {10, at(1), {}, {}});
  index.Put("b", {20, at(3), {}, {}});
  index.Put("c", {30, at(2), {}, {}});
  EXPECT_EQ(index.Oldest(), "a");
  index.Put("a", {11, at(4), {}, {}});
  EXPECT_EQ(index.Oldest(), "c");
  EXPECT_EQ(index.bytes(), 61);
  index.Erase("c");
  index.Erase("none");
  EXPECT_EQ(index.Oldest(), "b");
  EXPECT_EQ(index.bytes(), 31);
  EXPECT_EQ(index.count(), 2);
  EXPECT_EQ(index.Find("c"), nullptr);
}

TEST(LogitCacheIndex, AScanAddsForgetsAndSparesWhatCameMeanwhile) {
  const auto at = [](int64_t second) { return absl::FromUnixSeconds(second); };
  LogitCacheIndex index;
  index.Put("gone", {10, at(1), {}, {}});
  index.Put("stays", {10, at(5), {1, 2, 3, 4}, {}});
  index.Put("used elsewhere", {10, at(2), {1, 2, 3, 4}, {}});
  const int64_t scan = index.StartScan();
  index.Put("came meanwhile", {10, at(6), {}, {}});
  index.Merge({{"stays", 10, at(4)}, {"used elsewhere", 10, at(9)}, {"new", 7, at(3)}}, scan);
  EXPECT_EQ(index.Find("gone"), nullptr);
  EXPECT_NE(index.Find("came meanwhile"), nullptr);
  ASSERT_NE(index.Find("stays"), nullptr);
  EXPECT_EQ(index.Find("stays")->used, at(5));
  EXPECT_EQ(index.Find("used elsewhere")->used, at(9));
  EXPECT_TRUE(index.Find("used elsewhere")->checked == (FileVersion{1, 2, 3, 4}));
  EXPECT_EQ(index.Oldest(), "new");
  EXPECT_EQ(index.bytes(), 37);
  // The next one does find it gone.
  index.Merge({{"new", 7, at(3)}}, index.StartScan());
  EXPECT_EQ(index.count(), 1);
}

}  // namespace
}  // namespace distillery

// A soft-target cache in a folder of its own, with small shards whose logits are told by their
// seed.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "teacher_service/cache/logit_cache.h"
#include "tests/common/log_lines.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {

inline std::string ReadWholeFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

// In place: the file keeps its inode.
inline void WriteWholeFile(const std::string& path, const std::string& bytes) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << bytes;
  if (!stream.flush()) ADD_FAILURE() << "cannot write " << path;
}

class LogitCacheFixture : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 6;
  static constexpr int64_t kClasses = 5;
  // 128 of header, 6 x 5 x 4 of logits.
  static constexpr int64_t kFileBytes = 248;
  static constexpr StoredType kType = StoredType::kFloat32;
  using Logits = std::shared_ptr<const CachedLogits>;

  std::string folder() const { return folder_.File("cache"); }

  static LogitKey Key(int64_t shard) {
    LogitKey key;
    key.teacher_digest = std::string(64, 'a');
    key.dataset_digest = std::string(64, 'b');
    key.shard = shard;
    key.augmentation = "jitter:2";
    key.seed = 7;
    key.view = 1;
    return key;
  }

  // Float32 or, cut in half, float16: the cache does not look into them.
  static std::string Bytes(int64_t seed, int64_t count = kRows * kClasses,
                           StoredType type = kType) {
    std::vector<float> values(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) values[i] = static_cast<float>(seed * 1000 + i) / 8;
    std::string bytes(values.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return type == StoredType::kFloat16 ? bytes.substr(0, bytes.size() / 2) : bytes;
  }

  std::unique_ptr<LogitCache> Open(int64_t max_bytes = 1 << 20) {
    LogitCache::Options options;
    options.folder = folder();
    options.max_bytes = max_bytes;
    options.clock = &clock_;
    auto cache = LogitCache::Open(options);
    EXPECT_THAT(cache, IsOk());
    return cache.ok() ? *std::move(cache) : nullptr;
  }

  static absl::Status Store(LogitCache& cache, int64_t shard) {
    auto writer = cache.StartWriting(Key(shard), kRows, kClasses, kType);
    return writer.ok() ? (*writer)->Add(0, Bytes(shard)) : writer.status();
  }
  static Logits Find(LogitCache& cache, int64_t shard) {
    return cache.Find(Key(shard), kRows, kClasses, kType);
  }
  static std::string All(const Logits& logits) {
    return logits == nullptr ? "none" : Rows(*logits, 0, logits->rows());
  }
  static std::string Rows(const CachedLogits& logits, int64_t first, int64_t count) {
    std::string bytes(static_cast<size_t>(count * logits.row_bytes()), '\0');
    EXPECT_THAT(logits.Read(first, count, bytes.data()), IsOk());
    return bytes;
  }
  // The shards below `limit` that have a file, without asking a cache.
  std::vector<int64_t> ShardsOnDisk(int64_t limit = 10) const {
    std::vector<int64_t> shards;
    for (int64_t shard = 0; shard < limit; ++shard) {
      if (std::filesystem::exists(Path(shard))) shards.push_back(shard);
    }
    return shards;
  }

  // Warnings, then infos.
  std::vector<std::string> Logged() const {
    std::vector<std::string> lines = log_.Of("warning");
    const std::vector<std::string> infos = log_.Of("info");
    lines.insert(lines.end(), infos.begin(), infos.end());
    return lines;
  }

  std::string Path(int64_t shard) const {
    return folder() + "/" + LogitFilePath(Key(shard), kType);
  }
  std::vector<std::string> FilesOnDisk() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder())) {
      if (!entry.is_directory()) files.push_back(entry.path().string());
    }
    return files;
  }
  int64_t BytesOnDisk() const {
    int64_t bytes = 0;
    for (const std::string& file : FilesOnDisk()) {
      bytes += static_cast<int64_t>(std::filesystem::file_size(file));
    }
    return bytes;
  }
  // Says that the content was written, whatever the resolution of the file system's clock.
  static void SetModified(const std::string& path, absl::Time time) {
    const struct timespec times[2] = {{0, UTIME_OMIT}, absl::ToTimespec(time)};
    EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  static struct stat Stat(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info;
  }

  TemporaryFolder folder_;
  FakeClock clock_;
  LogLines log_;
};

}  // namespace distillery

// Weights as they are sent to all replicas of a round: mapped once and checksummed once, however many
// read them at the same time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/files.h"
#include "common/base/mutex.h"

namespace distillery {

// Threads: safe for all. ChecksumOf reads the file, so it may block on the disk.
class BroadcastFile {
 public:
  // Of one chunk.
  static constexpr int64_t kChunkBytes = 1 << 20;

  explicit BroadcastFile(std::unique_ptr<MappedFile> file) : file_(std::move(file)) {}

  absl::string_view bytes() const { return file_->bytes(); }
  // Chunk i holds bytes [i kChunkBytes, (i + 1) kChunkBytes), the last one what is left.
  int64_t chunk_count() const {
    return (static_cast<int64_t>(bytes().size()) + kChunkBytes - 1) / kChunkBytes;
  }
  absl::string_view Chunk(int64_t index) const {
    return bytes().substr(static_cast<size_t>(index * kChunkBytes),
                          static_cast<size_t>(kChunkBytes));
  }
  // CRC-32C of one chunk.
  uint32_t ChecksumOfChunk(int64_t index) const;
  // CRC-32C of the whole file.
  uint32_t Checksum() const;

 private:
  void ReadTo(int64_t index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<MappedFile> file_;
  mutable Mutex mutex_;
  // Of the chunks that were reached, and of all their bytes.
  mutable std::vector<uint32_t> chunks_ ABSL_GUARDED_BY(mutex_);
  mutable uint32_t crc_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Finds the file that others are reading already.
//
// Threads: safe for all.
class Broadcasts {
 public:
  // Errors as MappedFile::Open. REQUIRES: a file's content never changes, though another may take its
  // name.
  absl::StatusOr<std::shared_ptr<const BroadcastFile>> Open(const std::string& path);

 private:
  Mutex mutex_;
  // By path and inode.
  std::map<std::pair<std::string, uint64_t>, std::weak_ptr<const BroadcastFile>> open_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

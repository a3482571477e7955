// Weights as they are sent to all replicas of a round. A file is read once to see that it is what
// the record says; from then on each chunk is compared, at each read, with what it was at that
// time, so that no damaged byte is sent. All who send a chunk at the same time share the memory it
// is in.
//
// Never mapped: a mapped file that is cut short ends the process by SIGBUS.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/input_file.h"
#include "common/base/mutex.h"
#include "common/weights/tensor_source.h"

namespace distillery {

struct BroadcastChunk {
  std::string bytes;
  uint32_t crc32c = 0;
};

// Threads: safe for all. Reads block on the disk.
class BroadcastFile {
 public:
  static constexpr int64_t kChunkBytes = 1 << 20;

  // CRC-32C of the chunks and of the whole, once the SHA-256 was seen to be right.
  struct Checksums {
    int64_t size = 0;
    std::vector<uint32_t> chunks;
    uint32_t whole = 0;
  };
  // Reads the whole file. DATA_LOSS if its SHA-256 is not `sha256`.
  static absl::StatusOr<Checksums> Verify(const InputFile& file, const std::string& sha256);

  BroadcastFile(InputFile file, std::shared_ptr<const Checksums> checksums);

  int64_t size() const { return checksums_->size; }
  // Chunk i holds bytes [i kChunkBytes, (i + 1) kChunkBytes), the last one what is left.
  int64_t chunk_count() const { return static_cast<int64_t>(checksums_->chunks.size()); }
  // DATA_LOSS if the bytes are no longer there, or no longer those that were verified.
  absl::StatusOr<std::shared_ptr<const BroadcastChunk>> Chunk(int64_t index) const;
  // CRC-32C of the whole file.
  uint32_t Checksum() const { return checksums_->whole; }
  // Reads exactly `bytes` from `offset` on. Errors as Chunk's.
  absl::Status ReadAt(int64_t offset, int64_t bytes, char* output) const;
  // A read has found it damaged.
  bool damaged() const { return damaged_; }

 private:
  const InputFile file_;
  const std::shared_ptr<const Checksums> checksums_;
  mutable std::atomic<bool> damaged_ = false;
  mutable Mutex mutex_;
  // Those that somebody holds.
  mutable std::vector<std::weak_ptr<const BroadcastChunk>> held_ ABSL_GUARDED_BY(mutex_);
  // Held for the next ReadAt: a megabyte may hold many small tensors.
  mutable std::shared_ptr<const BroadcastChunk> last_read_ ABSL_GUARDED_BY(mutex_);
};

// The tensors of a file that is sent; it lives as long as they are read.
absl::StatusOr<TensorSource> TensorsOf(std::shared_ptr<const BroadcastFile> file);

// Finds the file that others are reading already, and remembers what was verified.
//
// Threads: safe for all.
class Broadcasts {
 public:
  // DATA_LOSS if the file's SHA-256 is not `sha256`; other errors as InputFile's. Reads the whole
  // file if nobody has since the start; others who ask for the same one wait for that.
  absl::StatusOr<std::shared_ptr<const BroadcastFile>> Open(const std::string& path,
                                                            const std::string& sha256);

 private:
  // A file that was put in the place of a damaged one is another: path, inode, SHA-256.
  using Key = std::tuple<std::string, uint64_t, std::string>;
  struct Entry {
    Mutex mutex;
    std::weak_ptr<const BroadcastFile> file ABSL_GUARDED_BY(mutex);
    std::shared_ptr<const BroadcastFile::Checksums> checksums ABSL_GUARDED_BY(mutex);
  };
  std::shared_ptr<Entry> Find(Key key);

  Mutex mutex_;
  std::map<Key, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

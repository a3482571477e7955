// Compares what is read of a split's images with what it was: a side file says what the data's
// digest was, and a byte may have changed since with the file's size and time as before, or may
// change while the process runs.
//
// A shard is compared with its SHA-256 when it is first read, unless this process has computed
// that; by then the CRC-32C of each of its images is known, with which every read of the image is
// compared.
//
// Threads: safe for all. The first reader of a shard reads all of it; others of that shard wait.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "common/data/shard_digests.h"

namespace distillery {

class ShardVerifier {
 public:
  // One digest for each shard of the split, and row_crcs if they are known.
  ShardVerifier(const SplitRows& rows, ShardDigests digests);

  // Call before a row of the shard is read. OK at once from the second time on. DATA_LOSS names the
  // shard and the files of the data set if the bytes are not those of the digest; errors as
  // ComputeShardDigest. REQUIRES: 0 <= shard < rows.shard_count().
  absl::Status Verify(const SplitRows& rows, int64_t shard);
  // Whether `record` [record_bytes()] is what row `row` was. REQUIRES: its shard was verified.
  bool IsSound(const SplitRows& rows, int64_t row, const uint8_t* record) const;
  // The error for a shard that is not.
  static absl::Status Damaged(const SplitRows& rows, int64_t shard);

 private:
  static constexpr size_t kMutexes = 16;

  const std::vector<ShardDigest> digests_;
  // The checksum of each row; a shard's are written once, before it counts as verified.
  std::vector<uint32_t> row_crcs_;
  // Damaged shards are looked at again each time: the file may have been mended.
  std::vector<std::atomic<bool>> verified_;
  // One for the shards whose numbers have the same remainder: a shard is read by one thread alone.
  Mutex mutexes_[kMutexes];
};

}  // namespace distillery

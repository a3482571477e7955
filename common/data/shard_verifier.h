// Compares each shard of a split with its SHA-256 when it is first read: a side file says what the
// data was, and a byte may have changed since with the file's size and time as before.
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
  // One digest for each shard of the split.
  explicit ShardVerifier(std::vector<ShardDigest> digests)
      : digests_(std::move(digests)), verified_(digests_.size()) {}

  // OK at once from the second time on. DATA_LOSS names the shard and the files of the data set if
  // the bytes are not those of the digest; errors as ComputeShardDigest.
  // REQUIRES: 0 <= shard < rows.shard_count().
  absl::Status Verify(const SplitRows& rows, int64_t shard);

 private:
  static constexpr size_t kMutexes = 16;

  const std::vector<ShardDigest> digests_;
  // Damaged shards are looked at again each time: the file may have been mended.
  std::vector<std::atomic<bool>> verified_;
  // Of the shards whose numbers have the same remainder: one is read by one thread alone.
  Mutex mutexes_[kMutexes];
};

}  // namespace distillery

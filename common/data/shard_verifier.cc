#include "common/data/shard_verifier.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Names of the files that hold images of the shard.
std::string ImageFiles(const SplitRows& rows, int64_t shard) {
  const RowRange range = rows.Shard(shard);
  std::vector<std::string> names;
  int64_t first = 0;
  for (const auto& file : rows.samples->images) {
    const int64_t end = first + file->count();
    for (int64_t row = range.first; row < range.first + range.count; ++row) {
      const int64_t place = rows.Place(row);
      if (place < first || place >= end) continue;
      names.push_back(file->name());
      break;
    }
    first = end;
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace

absl::Status ShardVerifier::Verify(const SplitRows& rows, int64_t shard) {
  std::atomic<bool>& verified = verified_[shard];
  if (verified.load(std::memory_order_acquire)) return absl::OkStatus();
  MutexLock lock(mutexes_[static_cast<size_t>(shard) % kMutexes]);
  if (verified.load(std::memory_order_acquire)) return absl::OkStatus();
  DISTILLERY_ASSIGN_OR_RETURN(const ShardDigest digest, ComputeShardDigest(rows, shard));
  if (digest != digests_[shard]) {
    return absl::DataLossError(absl::StrCat(
        "shard ", shard, ": the bytes of ", ImageFiles(rows, shard),
        ", or their labels, are no longer those of its SHA-256: restore the files"));
  }
  verified.store(true, std::memory_order_release);
  return absl::OkStatus();
}

}  // namespace distillery

#include "common/data/shard_verifier.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Names of the files that hold records of the shard.
std::string RecordFiles(const SplitRows& rows, int64_t shard) {
  const RowRange range = rows.Shard(shard);
  std::vector<std::string> names;
  int64_t first = 0;
  for (const auto& file : rows.samples->files) {
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

ShardVerifier::ShardVerifier(const SplitRows& rows, ShardDigests digests)
    : digests_(std::move(digests.shards)),
      row_crcs_(std::move(digests.row_crcs)),
      verified_(digests_.size()) {
  const bool known = !row_crcs_.empty();
  row_crcs_.resize(static_cast<size_t>(rows.size()));
  for (std::atomic<bool>& verified : verified_) verified.store(known, std::memory_order_relaxed);
}

absl::Status ShardVerifier::Verify(const SplitRows& rows, int64_t shard) {
  std::atomic<bool>& verified = verified_[shard];
  if (verified.load(std::memory_order_acquire)) return absl::OkStatus();
  MutexLock lock(mutexes_[static_cast<size_t>(shard) % kMutexes]);
  if (verified.load(std::memory_order_acquire)) return absl::OkStatus();
  DISTILLERY_ASSIGN_OR_RETURN(
      const ShardDigest digest,
      ComputeShardDigest(rows, shard, &row_crcs_[static_cast<size_t>(rows.Shard(shard).first)]));
  if (digest != digests_[shard]) return Damaged(rows, shard);
  verified.store(true, std::memory_order_release);
  return absl::OkStatus();
}

bool ShardVerifier::IsSound(const SplitRows& rows, int64_t row, const uint8_t* record) const {
  const auto size = static_cast<size_t>(rows.samples->record_bytes());
  return Crc32c({reinterpret_cast<const char*>(record), size}) ==
         row_crcs_[static_cast<size_t>(row)];
}

absl::Status ShardVerifier::Damaged(const SplitRows& rows, int64_t shard) {
  return absl::DataLossError(
      absl::StrCat("shard ", shard, ": the bytes of ", RecordFiles(rows, shard),
                   ", or their labels, are no longer those of its SHA-256: restore the files"));
}

}  // namespace distillery

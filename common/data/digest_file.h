// The side file that keeps what took reading all of a data set to learn: the SHA-256 of each shard
// of a split and the sums of its pixels. It holds for files of the same names, sizes and
// modification times alone. It lies where side_file.h says.
//
// It is a text; the last line is the CRC-32C of all before it. Losing it costs one reading of the
// data.
//
// Threads: safe for all, and for several processes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/data/shard_digests.h"

namespace distillery {

// Beyond so many shards nothing is kept: the side file would be as large as small data.
inline constexpr int64_t kMaxKeptShards = 65536;

class DigestFile {
 public:
  // For a split of samples that have sources, whose name is `split`.
  DigestFile(const SplitRows& rows, const std::string& split);

  // What was kept, or nothing: no file, another state of the data, a damaged file.
  std::optional<ShardDigests> Load() const;
  // Keeps it in the first of the two places where that works; tells the log if none does.
  void Store(const ShardDigests& digests) const;

 private:
  std::optional<ShardDigests> Parse(absl::string_view text) const;

  // The start of the file: all that what it says depends on.
  std::string key_;
  size_t shard_count_;
  size_t channel_count_;
  // Where it may lie, the better place first.
  std::vector<std::string> paths_;
};

}  // namespace distillery

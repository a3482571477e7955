// The SHA-256 of each shard of a split, and the sums of its pixels: all that a data set's digest
// and a model's card need of its bytes, in one pass over them.
//
// Threads: the functions may be called from any; ComputeShardDigests uses all cores while it runs.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/checksum.h"
#include "common/data/split_rows.h"

namespace distillery {

using ShardDigest = std::array<char, 32>;

// Over all pixels of one channel, as stored: whole numbers, so exact in any order.
struct ChannelSums {
  int64_t values = 0;
  int64_t squares = 0;

  friend bool operator==(const ChannelSums& a, const ChannelSums& b) {
    return a.values == b.values && a.squares == b.squares;
  }
};

// How many there are of a sample: one for each channel of a picture, none of other samples.
size_t SumCount(const SampleSpec& spec);

struct ShardDigests {
  std::vector<ShardDigest> shards;
  // CRC-32C of each row's record, by which later reads are checked; empty if not all rows were
  // read, or they are held in memory.
  std::vector<uint32_t> row_crcs;
  // The sums of each channel of a picture; of other samples there are none.
  std::vector<ChannelSums> sums;
};

// Reads every row. In memory at a time: at most `window_bytes` of records (0: 4 to 32 MiB, as suits
// the data), and 12 bytes for each row that they are of. Tells the log how far it is when it takes
// longer than two seconds, by `name`. Errors as ReadRecords; DATA_LOSS names a shard too.
absl::StatusOr<ShardDigests> ComputeShardDigests(const SplitRows& rows, absl::string_view name,
                                                 int64_t window_bytes = 0);

// The same for one shard, without the sums. `row_crcs`, if given, gets the CRC-32C of each of its
// rows' records.
absl::StatusOr<ShardDigest> ComputeShardDigest(const SplitRows& rows, int64_t shard,
                                               uint32_t* row_crcs = nullptr);

// SHA-256 of a data set: over the shards' SHA-256s in hexadecimal, after what tells it from others.
std::string DatasetDigest(const SplitRows& rows, const std::vector<ShardDigest>& shards);

}  // namespace distillery

// The rows of one split: the stored index of each in the split's fixed order, and its shards.
//
// Threads: immutable, safe for all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/data/samples.h"

namespace distillery {

// Rows [first, first + count) of a split.
struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
};

struct SplitRows {
  std::shared_ptr<const StoredSamples> samples;
  // `samples` holds the rows of this split alone, one after the other.
  bool samples_in_order = false;
  // Stored index of each row.
  std::vector<uint32_t> order;
  int64_t shard_size = 1;

  int64_t size() const { return static_cast<int64_t>(order.size()); }
  int64_t shard_count() const { return (size() + shard_size - 1) / shard_size; }
  // REQUIRES: 0 <= shard < shard_count().
  RowRange Shard(int64_t shard) const {
    const int64_t first = shard * shard_size;
    return {first, std::min(shard_size, size() - first)};
  }

  // The row's place in `samples`. REQUIRES, as all below: 0 <= row < size().
  uint32_t Place(int64_t row) const {
    return samples_in_order ? static_cast<uint32_t>(row) : order[row];
  }
  int32_t Label(int64_t row) const { return samples->labels[Place(row)]; }
};

// The stored indexes of the split's samples in the order that is fixed for ever: "fit" and
// "validation" are drawn from "train", and each split is shuffled. REQUIRES: a known split.
std::vector<uint32_t> SampleOrder(const StoredSamples& samples, const std::string& split);

}  // namespace distillery

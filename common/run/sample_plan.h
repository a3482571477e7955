// How many samples each training task of a run sees, which is its weight in the mean. It is
// computed from the plan alone, so that nobody need believe what a worker says of it.
//
// Threads: immutable, safe for all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/run/run_spec.h"

namespace distillery {

class SamplePlan {
 public:
  // The most shards that a run's data may have: one message must hold their sizes.
  static constexpr int64_t kMostShards = 1'000'000;

  // `shard_sizes`: samples of each shard that are trained on, see SampleSelection. They may be
  // empty where the run counts steps (training.local_steps). INVALID_ARGUMENT for impossible sizes.
  // REQUIRES: spec is valid.
  static absl::StatusOr<SamplePlan> Create(const RunSpec& spec, std::vector<int64_t> shard_sizes);

  // The number of samples that PlanReplica gives the task and on which it trains. Its time may grow
  // with the number of shards.
  int64_t SampleCount(int64_t round, int64_t replica) const;
  const std::vector<int64_t>& shard_sizes() const { return shard_sizes_; }

 private:
  explicit SamplePlan(const RunSpec& spec);
  int64_t PlannedCount(int64_t round, int64_t replica) const;

  int64_t seed_;
  int64_t replicas_;
  int64_t local_epochs_;
  int64_t local_steps_;
  int64_t batch_size_;
  std::vector<int64_t> shard_sizes_;
  // Those of the shards that are not empty; `even_`: they are all equal.
  std::vector<int64_t> filled_sizes_;
  bool even_ = true;
};

// Sizes as text, such as "128*10,45" for ten of 128 and one of 45, and back. DATA_LOSS for text
// that is no such list.
std::string ShardSizesToText(const std::vector<int64_t>& sizes);
absl::StatusOr<std::vector<int64_t>> ShardSizesFromText(const std::string& text);

}  // namespace distillery

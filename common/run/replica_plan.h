// Which samples one training task sees, and in which order: a pure function of the RunSpec, the
// number of samples in each shard, the round and the replica.
//
// Epoch e permutes the shards that are not empty by (seed, e); replica k takes the shards at
// positions k mod K of that permutation; within a shard the samples are permuted by (seed, e,
// shard). The replica's stream is the shards of epoch 0, then of epoch 1, and so on. With
// local_epochs E, round r takes epochs rE to rE + E - 1; with local_steps H and batches of B, it
// takes samples rHB to (r+1)HB of the stream.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/run/run_spec.h"

namespace distillery {

// Samples [first, first + count) of a shard's permutation in one epoch, of those that are trained
// on.
struct ShardUse {
  int64_t epoch = 0;
  int64_t shard = 0;
  int64_t first = 0;
  int64_t count = 0;
};

// INVALID_ARGUMENT if a replica would get no shard. `shard_count`: the number of shards that are
// not empty.
absl::Status CheckShardCount(const RunSpec& spec, int64_t shard_count);

// `shard_sizes`: samples of each shard that are trained on, see SampleSelection. Errors as
// CheckShardCount. REQUIRES: spec is valid.
absl::StatusOr<std::vector<ShardUse>> PlanReplica(const RunSpec& spec,
                                                  const std::vector<int64_t>& shard_sizes,
                                                  int64_t round, int64_t replica);

// How many of `planned` samples are trained on: a last batch of a single sample is left out, since
// BatchNorm cannot train on it.
int64_t TrainedSampleCount(int64_t planned, int64_t batch_size);

// The order of the samples of `shard` (0..count-1) in `epoch`.
std::vector<int64_t> ShardSampleOrder(int64_t seed, int64_t epoch, int64_t shard, int64_t count);

}  // namespace distillery

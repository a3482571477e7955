#include "common/run/replica_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"

namespace distillery {

absl::StatusOr<std::vector<ShardUse>> PlanReplica(const RunSpec& spec, int64_t sample_count,
                                                  int64_t round, int64_t replica) {
  const int64_t shard_size = spec.dataset.shard_size;
  const int64_t shards = (sample_count + shard_size - 1) / shard_size;
  const int64_t replicas = spec.training.replicas;
  if (replicas > shards) {
    return absl::InvalidArgumentError(absl::StrCat(
        "training.replicas is ", replicas, " but the data has ", shards, " shards of ", shard_size,
        " samples: lower dataset.shard_size or training.replicas"));
  }
  // The part of the replica's stream that this round takes: by epochs or by samples.
  const bool by_steps = spec.training.local_steps > 0;
  int64_t epoch = by_steps ? 0 : round * spec.training.local_epochs;
  const int64_t end_epoch = epoch + spec.training.local_epochs;
  int64_t skip = by_steps ? round * spec.training.local_steps * spec.training.batch_size : 0;
  int64_t want = spec.training.local_steps * spec.training.batch_size;
  std::vector<ShardUse> uses;
  for (; by_steps ? want > 0 : epoch < end_epoch; ++epoch) {
    const std::vector<int64_t> order = Permutation(
        shards, RandomStream(spec.seed, "shard-order", static_cast<uint64_t>(epoch)));
    for (int64_t i = replica; i < shards; i += replicas) {
      const int64_t size = std::min(shard_size, sample_count - order[i] * shard_size);
      const int64_t first = std::min(skip, size);
      const int64_t count = by_steps ? std::min(size - first, want) : size;
      skip -= first;
      want -= count;
      if (count > 0) uses.push_back({epoch, order[i], first, count});
    }
  }
  return uses;
}

std::vector<int64_t> ShardSampleOrder(int64_t seed, int64_t epoch, int64_t shard, int64_t count) {
  return Permutation(count, RandomStream(seed, "sample-order-in-shard",
                                         static_cast<uint64_t>(epoch),
                                         static_cast<uint64_t>(shard)));
}

}  // namespace distillery

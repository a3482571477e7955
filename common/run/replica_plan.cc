#include "common/run/replica_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"

namespace distillery {

absl::Status CheckShardCount(const RunSpec& spec, int64_t shard_count) {
  if (spec.training.replicas <= shard_count) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("training.replicas is ", spec.training.replicas, " but the data has ",
                   shard_count, " shards of ", spec.dataset.shard_size,
                   " samples: lower dataset.shard_size or training.replicas"));
}

absl::StatusOr<std::vector<ShardUse>> PlanReplica(const RunSpec& spec,
                                                  const std::vector<int64_t>& shard_sizes,
                                                  int64_t round, int64_t replica) {
  std::vector<int64_t> shards;
  for (size_t shard = 0; shard < shard_sizes.size(); ++shard) {
    if (shard_sizes[shard] > 0) shards.push_back(static_cast<int64_t>(shard));
  }
  const auto shard_count = static_cast<int64_t>(shards.size());
  const int64_t replicas = spec.training.replicas;
  DISTILLERY_RETURN_IF_ERROR(CheckShardCount(spec, shard_count));
  // The part of the replica's stream that this round takes: by epochs or by samples.
  const bool by_steps = spec.training.local_steps > 0;
  int64_t epoch = by_steps ? 0 : round * spec.training.local_epochs;
  const int64_t end_epoch = epoch + spec.training.local_epochs;
  int64_t skip = by_steps ? round * spec.training.local_steps * spec.training.batch_size : 0;
  int64_t want = spec.training.local_steps * spec.training.batch_size;
  std::vector<ShardUse> uses;
  for (; by_steps ? want > 0 : epoch < end_epoch; ++epoch) {
    const std::vector<int64_t> order = Permutation(
        shard_count, RandomStream(spec.seed, "shard-order", static_cast<uint64_t>(epoch)));
    for (int64_t i = replica; i < shard_count; i += replicas) {
      const int64_t shard = shards[static_cast<size_t>(order[static_cast<size_t>(i)])];
      const int64_t size = shard_sizes[static_cast<size_t>(shard)];
      const int64_t first = std::min(skip, size);
      const int64_t count = by_steps ? std::min(size - first, want) : size;
      skip -= first;
      want -= count;
      if (count > 0) uses.push_back({epoch, shard, first, count});
    }
  }
  return uses;
}

int64_t TrainedSampleCount(int64_t planned, int64_t batch_size) {
  return batch_size > 1 && planned % batch_size == 1 ? planned - 1 : planned;
}

std::vector<int64_t> ShardSampleOrder(int64_t seed, int64_t epoch, int64_t shard, int64_t count) {
  return Permutation(count,
                     RandomStream(seed, "sample-order-in-shard", static_cast<uint64_t>(epoch),
                                  static_cast<uint64_t>(shard)));
}

}  // namespace distillery

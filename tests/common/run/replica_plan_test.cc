#include "common/run/replica_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

RunSpec Spec(int64_t replicas, int64_t shard_size) {
  RunSpec spec;
  spec.training.replicas = replicas;
  spec.dataset.shard_size = shard_size;
  return spec;
}

// The sizes of `samples` samples' shards of the spec's size.
std::vector<int64_t> ShardSizes(const RunSpec& spec, int64_t samples) {
  std::vector<int64_t> sizes;
  for (int64_t first = 0; first < samples; first += spec.dataset.shard_size) {
    sizes.push_back(std::min(spec.dataset.shard_size, samples - first));
  }
  return sizes;
}

std::vector<ShardUse> Uses(const RunSpec& spec, int64_t samples, int64_t round, int64_t replica) {
  auto uses = PlanReplica(spec, ShardSizes(spec, samples), round, replica);
  EXPECT_THAT(uses, IsOk());
  return uses.ok() ? *std::move(uses) : std::vector<ShardUse>{};
}

// How often each (epoch, row) is trained on over all replicas of the rounds.
std::map<std::pair<int64_t, int64_t>, int> Visits(const RunSpec& spec, int64_t samples,
                                                  int64_t first_round, int64_t end_round) {
  std::map<std::pair<int64_t, int64_t>, int> visits;
  for (int64_t round = first_round; round < end_round; ++round) {
    for (int64_t replica = 0; replica < spec.training.replicas; ++replica) {
      for (const ShardUse& use : Uses(spec, samples, round, replica)) {
        const int64_t start = use.shard * spec.dataset.shard_size;
        const int64_t size = std::min(spec.dataset.shard_size, samples - start);
        const std::vector<int64_t> order = ShardSampleOrder(spec.seed, use.epoch, use.shard, size);
        for (int64_t i = use.first; i < use.first + use.count; ++i) {
          ++visits[{use.epoch, start + order.at(static_cast<size_t>(i))}];
        }
      }
    }
  }
  return visits;
}

TEST(ReplicaPlan, EverySampleIsSeenOncePerEpochOverAllReplicas) {
  for (const int64_t replicas : {1, 2, 3, 7}) {
    RunSpec spec = Spec(replicas, 15);
    spec.training.local_epochs = 2;
    // 7 shards, the last one of 10 samples.
    const auto visits = Visits(spec, 100, 0, 3);
    EXPECT_EQ(visits.size(), 600) << replicas;  // 3 rounds of 2 epochs of 100 samples
    for (const auto& [key, count] : visits) {
      ASSERT_EQ(count, 1) << "epoch " << key.first << " row " << key.second;
      ASSERT_LT(key.first, 6);
    }
  }
}

TEST(ReplicaPlan, ShardsAreDealtEvenly) {
  RunSpec spec = Spec(3, 10);
  spec.training.local_epochs = 1;
  // 10 shards over 3 replicas: positions k, k + 3, ... of the epoch's permutation.
  EXPECT_EQ(PlanReplica(spec, ShardSizes(spec, 100), 0, 0)->size(), 4);
  EXPECT_EQ(PlanReplica(spec, ShardSizes(spec, 100), 0, 1)->size(), 3);
  EXPECT_EQ(PlanReplica(spec, ShardSizes(spec, 100), 0, 2)->size(), 3);
}

std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t>> Plan(const RunSpec& spec, int64_t round,
                                                                 int64_t replica) {
  std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t>> plan;
  for (const ShardUse& use : Uses(spec, 100, round, replica)) {
    plan.emplace_back(use.epoch, use.shard, use.first, use.count);
  }
  return plan;
}

TEST(ReplicaPlan, IsAFunctionOfSpecRoundAndReplica) {
  RunSpec spec = Spec(2, 10);
  spec.training.local_epochs = 1;
  EXPECT_EQ(Plan(spec, 3, 1), Plan(spec, 3, 1));
  std::set<decltype(Plan(spec, 0, 0))> plans = {Plan(spec, 3, 1), Plan(spec, 2, 1),
                                                Plan(spec, 3, 0)};
  spec.seed = 2;
  plans.insert(Plan(spec, 3, 1));
  EXPECT_EQ(plans.size(), 4);
}

TEST(ReplicaPlan, RoundsOfStepsAreOneStreamWithoutGapOrRepeat) {
  RunSpec by_epochs = Spec(2, 10);
  by_epochs.training.local_epochs = 6;
  RunSpec by_steps = Spec(2, 10);
  by_steps.training.local_steps = 3;
  by_steps.training.batch_size = 7;
  // Rounds of 21 samples, joined, are the beginning of the epochs' stream of 50 samples each.
  std::vector<std::tuple<int64_t, int64_t, int64_t>> stream;  // epoch, shard, place
  for (int64_t round = 0; round < 12; ++round) {
    int64_t samples = 0;
    for (const auto& [epoch, shard, first, count] : Plan(by_steps, round, 1)) {
      for (int64_t i = first; i < first + count; ++i) stream.emplace_back(epoch, shard, i);
      samples += count;
    }
    EXPECT_EQ(samples, 21) << round;
  }
  std::vector<std::tuple<int64_t, int64_t, int64_t>> expected;
  for (const auto& [epoch, shard, first, count] : Plan(by_epochs, 0, 1)) {
    for (int64_t i = first; i < first + count; ++i) expected.emplace_back(epoch, shard, i);
  }
  ASSERT_EQ(stream.size(), 252);
  expected.resize(252);
  EXPECT_EQ(stream, expected);
}

TEST(ReplicaPlan, MoreReplicasThanShardsAreRefusedWithAdvice) {
  RunSpec spec = Spec(5, 25);
  spec.training.local_epochs = 1;
  EXPECT_THAT(PlanReplica(spec, ShardSizes(spec, 100), 0, 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("lower dataset.shard_size")));
  EXPECT_THAT(PlanReplica(spec, ShardSizes(spec, 101), 0, 4),
              IsOk());  // a fifth shard of one sample
}

// Shards without a sample that is trained on are not streamed, and no replica is left without work.
TEST(ReplicaPlan, EmptyShardsAreLeftOut) {
  RunSpec spec = Spec(2, 10);
  spec.training.local_epochs = 3;
  const std::vector<int64_t> sizes = {0, 4, 0, 0, 7, 1, 0, 2};
  for (const int64_t replica : {0, 1}) {
    ASSERT_OK_AND_ASSIGN(const auto uses, PlanReplica(spec, sizes, 0, replica));
    EXPECT_EQ(uses.size(), 6);  // two of four shards in each of three epochs
    for (const ShardUse& use : uses) {
      EXPECT_GT(use.count, 0);
      EXPECT_EQ(use.count, sizes[static_cast<size_t>(use.shard)]);
    }
  }
  spec.training.replicas = 5;
  EXPECT_THAT(PlanReplica(spec, sizes, 0, 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the data has 4 shards")));
}

TEST(ShardSampleOrder, HoldsEachSampleOnceAndChangesWithEpochAndShard) {
  const std::vector<int64_t> order = ShardSampleOrder(1, 0, 0, 50);
  EXPECT_EQ(std::set<int64_t>(order.begin(), order.end()).size(), 50);
  EXPECT_EQ(order, ShardSampleOrder(1, 0, 0, 50));
  EXPECT_NE(order, ShardSampleOrder(1, 1, 0, 50));
  EXPECT_NE(order, ShardSampleOrder(1, 0, 1, 50));
  EXPECT_NE(order, ShardSampleOrder(2, 0, 0, 50));
}

}  // namespace
}  // namespace distillery

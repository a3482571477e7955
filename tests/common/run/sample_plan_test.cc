#include "common/run/sample_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/philox.h"
#include "common/run/replica_plan.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

RunSpec Spec(int64_t replicas, int64_t shard_size) {
  RunSpec spec;
  spec.student.architecture = "mlp:64-10";
  spec.training.replicas = replicas;
  spec.dataset.shard_size = shard_size;
  return spec;
}

// As training cuts the samples of a replica into batches.
int64_t CountOf(const RunSpec& spec, const std::vector<int64_t>& sizes, int64_t round,
                int64_t replica) {
  const auto uses = PlanReplica(spec, sizes, round, replica);
  EXPECT_THAT(uses, IsOk());
  int64_t planned = 0;
  for (const ShardUse& use : *uses) planned += use.count;
  return TrainedSampleCount(planned, spec.training.batch_size);
}

TEST(SamplePlan, CountsWhatPlanReplicaDealsOut) {
  RandomStream random(61, "sample plans");
  for (int i = 0; i < 300; ++i) {
    RunSpec spec = Spec(1 + static_cast<int64_t>(random.Below(5)), 20);
    spec.seed = static_cast<int64_t>(random.Next64());
    spec.training.batch_size = 1 + static_cast<int64_t>(random.Below(30));
    (random.Below(2) == 0 ? spec.training.local_epochs : spec.training.local_steps) =
        1 + static_cast<int64_t>(random.Below(7));
    std::vector<int64_t> sizes(5 + random.Below(20), 20);
    const bool even = random.Below(3) == 0;
    for (int64_t& size : sizes) {
      if (!even) size = static_cast<int64_t>(random.Below(21));
    }
    for (size_t k = 0; k < 5; ++k) sizes[k] = std::max<int64_t>(1, sizes[k]);
    ASSERT_OK_AND_ASSIGN(const SamplePlan plan, SamplePlan::Create(spec, sizes));
    for (const int64_t round : {0, 1, 9}) {
      for (int64_t replica = 0; replica < spec.training.replicas; ++replica) {
        ASSERT_EQ(plan.SampleCount(round, replica), CountOf(spec, sizes, round, replica)) << i;
      }
    }
  }
}

TEST(SamplePlan, ASingleSampleAtTheEndIsNotTrainedOn) {
  EXPECT_EQ(TrainedSampleCount(33, 32), 32);
  EXPECT_EQ(TrainedSampleCount(34, 32), 34);
  EXPECT_EQ(TrainedSampleCount(1, 32), 0);
  EXPECT_EQ(TrainedSampleCount(7, 1), 7);
}

TEST(SamplePlan, StepsNeedNoSizesAndEpochsDo) {
  RunSpec steps = Spec(4, 100);
  steps.training.local_steps = 3;
  ASSERT_OK_AND_ASSIGN(const SamplePlan plan, SamplePlan::Create(steps, {}));
  EXPECT_EQ(plan.SampleCount(999'999, 3), 3 * 64);
  RunSpec epochs = Spec(4, 100);
  epochs.training.local_epochs = 1;
  EXPECT_THAT(SamplePlan::Create(epochs, {}), StatusIs(absl::StatusCode::kInvalidArgument,
                                                       HasSubstr("samples_per_shard is missing")));
}

TEST(ShardSizes, AreShortTextAndReadBack) {
  EXPECT_EQ(ShardSizesToText({128, 128, 128, 45}), "128*3,45");
  EXPECT_EQ(ShardSizesToText({}), "");
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{}, {7}, {0, 0, 5, 5, 0}, std::vector<int64_t>(1'000'000, 65536)}) {
    ASSERT_OK_AND_ASSIGN(const auto read, ShardSizesFromText(ShardSizesToText(sizes)));
    EXPECT_EQ(read, sizes);
  }
  for (const char* const text : {"x", "1*x", "1*2*3", "-1", "1*0", "1*99999999999", "1;2"}) {
    EXPECT_THAT(ShardSizesFromText(text), StatusIs(absl::StatusCode::kDataLoss)) << text;
  }
}

}  // namespace
}  // namespace distillery

// Fault 61: how many samples a result counts for follows from the plan, not from what a worker
// says.
#include <limits>

#include "common/run/sample_plan.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class SampleClaims : public CoordinatorTest {
 protected:
  // Epochs over shards of 100, 100, 0 and 37 samples.
  RunSpec EpochSpec() {
    RunSpec spec = SmallSpec();
    spec.training.local_steps = 0;
    spec.training.local_epochs = 3;
    spec.training.rounds = 2;
    spec.dataset.shard_size = 100;
    shard_sizes_ = {100, 100, 0, 37};
    return spec;
  }
  absl::Status Claim(const Lease& lease, int64_t samples) {
    UploadHeader header = HeaderFor(lease, delta_);
    header.metrics.sample_count = samples;
    header.metrics.step_count = 1;
    return Send(header, delta_).status();
  }
  const std::string delta_ = ModelFile({0.5, 0.5});
};

TEST_F(SampleClaims, Fault61_EveryOtherClaimIsRefusedAndAStrike) {
  StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  int64_t refused = 0;
  for (const int64_t claim : {int64_t{1}, int64_t{99}, int64_t{101}, int64_t{1} << 62,
                              std::numeric_limits<int64_t>::max(), int64_t{0}, int64_t{-100}}) {
    EXPECT_THAT(Claim(lease, claim), StatusIs(kInvalid, HasSubstr("sample_count"))) << claim;
    EXPECT_EQ(coordinator_->statistics().Of(Count::kStrikes), ++refused);
  }
  EXPECT_THAT(Claim(lease, 100), IsOk());
}

TEST_F(SampleClaims, Fault61_EpochsAreCountedByTheShardsThatTheInitialiseTaskFound) {
  const RunSpec spec = EpochSpec();
  ASSERT_OK_AND_ASSIGN(const SamplePlan plan, SamplePlan::Create(spec, shard_sizes_));
  const std::string run_id = StartRun(spec);
  for (int64_t round = 0; round < 2; ++round) {
    for (int64_t replica = 0; replica < 2; ++replica) {
      const Lease lease = Take(Register()).lease;
      const int64_t planned = plan.SampleCount(round, replica);
      EXPECT_THAT(Claim(lease, planned + 1), StatusIs(kInvalid));
      Reopen();  // the sizes are on record
      EXPECT_THAT(Claim(lease, planned), IsOk());
    }
    ASSERT_TRUE(coordinator_->AverageNext());
    ASSERT_OK_AND_ASSIGN(const std::vector<RoundView> rounds, coordinator_->runs().Rounds(run_id));
    EXPECT_EQ(rounds.back().row.metrics.sample_count,
              plan.SampleCount(round, 0) + plan.SampleCount(round, 1));
  }
}

TEST_F(SampleClaims, Fault61_SizesThatCannotBeAreRefusedWithTheFirstWeights) {
  const std::vector<int64_t> no_sizes;
  const RunSpec spec = EpochSpec();
  Submit(spec);
  const Lease lease = Take(Register()).lease;
  const std::string weights = ModelFile({1, 2});
  for (const std::vector<int64_t>& sizes :
       {no_sizes, std::vector<int64_t>{100, 101}, std::vector<int64_t>{100, -1, 100},
        std::vector<int64_t>{0, 0, 100}, std::vector<int64_t>(1'000'001, 1)}) {
    UploadHeader header = HeaderFor(lease, weights);
    header.samples_per_shard = sizes;
    EXPECT_THAT(Send(header, weights), StatusIs(kInvalid)) << sizes.size();
  }
  EXPECT_THAT(Send(lease, weights), IsOk());
}

TEST_F(SampleClaims, Fault61_NoClaimMakesTheSumOfARoundOverflow) {
  RunSpec spec = SmallSpec();
  spec.training.local_steps = 1'000'000;
  spec.training.batch_size = 65536;
  const std::string run_id = StartRun(spec);
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(Claim(Take(Register()).lease, int64_t{1'000'000} * 65536), IsOk());
  }
  ASSERT_TRUE(coordinator_->AverageNext());
  ASSERT_OK_AND_ASSIGN(const std::vector<RoundView> rounds, coordinator_->runs().Rounds(run_id));
  EXPECT_EQ(rounds[0].row.metrics.sample_count, int64_t{2'000'000} * 65536);
}

}  // namespace
}  // namespace distillery

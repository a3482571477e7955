// Fault 41 and 42: workers whose results cannot be.
#include <limits>

#include "coordinator/coordinator.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class Strikes : public CoordinatorTest {
 protected:
  Strikes() : run_id_(StartRun(SmallSpec())) {}

  absl::Status SendBad(const std::string& worker) {
    const Lease lease = Take(worker).lease;
    const absl::Status status = Send(lease, bad_).status();
    EXPECT_THAT(coordinator_->leases().Release(lease, /*failed=*/false, ""), IsOk());
    return status;
  }
  bool GetsATask(const std::string& worker) {
    const auto answer = Ask(worker);
    EXPECT_THAT(answer, IsOk());
    return answer.ok() && answer->grant.has_value();
  }
  int64_t Counted(Count what, const std::string& label = "") {
    return coordinator_->statistics().Of(what, label);
  }

  const std::string bad_ = ModelFile({0.5, std::numeric_limits<float>::quiet_NaN()});
  const std::string good_ = ModelFile({0.5, 0.5});
  const std::string run_id_;
};

TEST_F(Strikes, Fault41_AWorkerOfThreeBadResultsGetsNoTaskAndOthersDo) {
  const std::string broken = Register();
  const std::string before = Run(run_id_).row.weights_sha256;
  for (int i = 1; i <= 3; ++i) {
    EXPECT_THAT(SendBad(broken), StatusIs(kInvalid, HasSubstr("NaN")));
    EXPECT_EQ(Counted(Count::kStrikes), i);
  }
  EXPECT_EQ(Counted(Count::kRejectedDeltas, "non_finite"), 3);
  EXPECT_EQ(Counted(Count::kWorkersSetAside), 1);
  EXPECT_FALSE(GetsATask(broken));
  EXPECT_EQ(Run(run_id_).row.weights_sha256, before);
  EXPECT_EQ(Run(run_id_).row.completed_rounds, 0);
  // The round is another's.
  const std::string sound = Register();
  ASSERT_THAT(Send(Take(sound).lease, good_), IsOk());
  ASSERT_THAT(Send(Take(sound).lease, good_), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id_).row.completed_rounds, 1);
}

TEST_F(Strikes, Fault41_TheRestEnds) {
  const std::string broken = Register();
  for (int i = 0; i < 3; ++i) (void)SendBad(broken);
  clock_.Advance(StrikeBook::kRest - absl::Seconds(1));
  EXPECT_FALSE(GetsATask(broken));
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(GetsATask(broken));
}

TEST_F(Strikes, Fault41_AWorkerThatIsStartedAgainBeginsAnew) {
  const std::string broken = Register();
  for (int i = 0; i < 3; ++i) (void)SendBad(broken);
  EXPECT_TRUE(GetsATask(Register()));
}

TEST_F(Strikes, Fault41_AGoodResultEndsTheRow) {
  const std::string worker = Register();
  (void)SendBad(worker);
  (void)SendBad(worker);
  ASSERT_THAT(Send(Take(worker).lease, good_), IsOk());
  (void)SendBad(worker);
  (void)SendBad(worker);
  EXPECT_TRUE(GetsATask(worker));
}

TEST_F(Strikes, Fault43_AnotherLayoutCountsTooAndNobodyStrikesForAnother) {
  const std::string worker = Register();
  const Lease lease = Take(worker).lease;
  EXPECT_THAT(Send(lease, MakeTensorFile({{"w", {0, 0}}})),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Counted(Count::kStrikes), 1);
  EXPECT_EQ(Counted(Count::kRejectedDeltas, "layout"), 1);
  // An upload under a lease that is another's is refused before its bytes are looked at.
  Lease stolen = lease;
  stolen.worker_id = Register();
  EXPECT_THAT(Send(stolen, bad_), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(Counted(Count::kStrikes), 1);
}

TEST_F(Strikes, Fault42_ADeltaFarBeyondTheMedianIsNotAveragedAndIsCounted) {
  RunSpec spec = SmallSpec();
  spec.training.rounds = 3;
  spec.averaging.max_norm_ratio = 100;
  ASSERT_THAT(coordinator_->runs().Cancel(run_id_), IsOk());
  const std::string run_id = StartRun(spec);
  TrainRound({good_, good_});
  const std::string before = Run(run_id).row.weights_sha256;
  const std::string worker = Register();
  ASSERT_THAT(Send(Take(worker).lease, good_), IsOk());
  ASSERT_THAT(Send(Take(worker).lease, ModelFile({5e5, 5e5})), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
  EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("replica 1"));
  EXPECT_EQ(Run(run_id).row.weights_sha256, before);
  EXPECT_EQ(Run(run_id).row.completed_rounds, 1);
  EXPECT_EQ(Counted(Count::kRejectedDeltas, "norm"), 1);
}

TEST_F(Strikes, Fault42_OrIsClippedByPolicy) {
  RunSpec spec = SmallSpec();
  spec.averaging.clip_norm = 1;
  ASSERT_THAT(coordinator_->runs().Cancel(run_id_), IsOk());
  const std::string run_id = StartRun(spec);
  TrainRound({ModelFile({0, 0}), ModelFile({0, 1e6})});
  ASSERT_OK_AND_ASSIGN(const WeightsFile weights, coordinator_->weights().Open(run_id, 1));
  // W_0 = [1, 2]; the mean of [0, 0] and [0, 1e6 scaled to 1] is [0, 0.5].
  EXPECT_THAT(TensorValues<float>(BytesOf(weights), "w"), ::testing::ElementsAre(1.0F, 2.5F));
}

TEST_F(Strikes, EventsTellWhatHappened) {
  const std::string broken = Register();
  for (int i = 0; i < 3; ++i) (void)SendBad(broken);
  std::vector<std::string> kinds;
  for (const Statistics::Event& event : coordinator_->statistics().events()) {
    kinds.push_back(event.kind);
  }
  EXPECT_THAT(kinds, ::testing::ElementsAre("run_submitted", "delta_rejected", "delta_rejected",
                                            "delta_rejected", "worker_set_aside"));
  const Statistics::Event last = coordinator_->statistics().events().back();
  EXPECT_EQ(last.worker_id, broken);
  EXPECT_EQ(last.unix_millis, absl::ToUnixMillis(clock_.WallNow()));
}

TEST(StatisticsTest, EventsAreKeptUpToALimit) {
  FakeClock clock;
  Statistics statistics(&clock);
  for (int i = 0; i < 2000; ++i) statistics.Note({"kind", "", {}, "", std::to_string(i)});
  EXPECT_EQ(statistics.events().size(), 500);
  EXPECT_EQ(statistics.events().back().text, "1999");
}

}  // namespace
}  // namespace distillery

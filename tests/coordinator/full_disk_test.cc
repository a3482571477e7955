// Fault 27 without a disk that is full: what the coordinator does once it has been told so.
// tests/chaos/coordinator_disk_test.py fills a real one.
#include "common/base/disk_errors.h"
#include "coordinator/coordinator.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class FullDisk : public CoordinatorTest {
 protected:
  void Fill() {
    EXPECT_FALSE(
        coordinator_->NoteWrite(MarkDiskFull(absl::ResourceExhaustedError("no space left"))).ok());
    coordinator_->Tick();
  }
  // The next probe finds room.
  void Heal() {
    clock_.Advance(absl::Seconds(2));
    coordinator_->Tick();
  }
  const std::string delta_ = ModelFile({0.5, 0.5});
};

TEST_F(FullDisk, Fault27_RunsPauseByThemselvesWithTheReasonAndGoOnByThemselves) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string worker = Register();
  Fill();
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning) << "paused is what a person must end";
  EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("disk is full"));
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(worker));
  EXPECT_FALSE(answer.grant.has_value());
  EXPECT_EQ(coordinator_->statistics().Of(Count::kDiskFullPauses), 1);
  EXPECT_TRUE(coordinator_->gauges().disk_full);
  // Not yet looked again.
  clock_.Advance(absl::Seconds(1));
  coordinator_->Tick();
  EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("disk is full"));
  Heal();
  EXPECT_EQ(Run(run_id).row.state_reason, "");
  EXPECT_EQ(Take(worker).lease.task, (TaskId{run_id, TaskKind::kTrain, 0, 0}));
  EXPECT_FALSE(coordinator_->gauges().disk_full);
}

TEST_F(FullDisk, Fault27_ARunThatAPersonPausedStaysPaused) {
  const std::string run_id = StartRun(SmallSpec());
  ASSERT_THAT(coordinator_->runs().Pause(run_id), IsOk());
  Fill();
  EXPECT_EQ(Run(run_id).row.state_reason, "paused");
  Heal();
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
}

TEST_F(FullDisk, Fault27_LeasesDoNotEndWhileTheirEndCannotBeRecorded) {
  StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  Fill();
  clock_.Advance(absl::Seconds(1));
  for (int i = 0; i < 3; ++i) {
    // Keeps the disk full: each probe is followed by a write that fails.
    Fill();
    clock_.Advance(absl::Seconds(1));
  }
  EXPECT_THAT(coordinator_->leases().Renew(lease, 0, ""), IsOk()) << "needs no disk";
  Heal();
  EXPECT_THAT(Send(lease, delta_), IsOk());
}

TEST_F(FullDisk, Fault27_RoundThatWasReadyIsAveragedOnceThereIsRoom) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string worker = Register();
  ASSERT_THAT(Send(Take(worker).lease, delta_), IsOk());
  ASSERT_THAT(Send(Take(worker).lease, delta_), IsOk());
  // The averager cannot write: its folder is not there any more.
  std::filesystem::rename(StateFile("incoming"), StateFile("away"));
  Fill();
  EXPECT_EQ(Run(run_id).row.completed_rounds, 0);
  std::filesystem::rename(StateFile("away"), StateFile("incoming"));
  Heal();
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).row.completed_rounds, 1);
}

TEST_F(FullDisk, Fault27_WatchersAreToldOfBothTurns) {
  struct Listener : RunListener {
    void OnRunChanged() override { ++calls; }
    int calls = 0;
  };
  const std::string run_id = StartRun(SmallSpec());
  coordinator_->Tick();
  const auto listener = std::make_shared<Listener>();
  ASSERT_THAT(coordinator_->runs().Watch(run_id, listener), IsOk());
  // They are told ten times a second at most.
  clock_.Advance(absl::Seconds(1));
  Fill();
  EXPECT_EQ(listener->calls, 1);
  clock_.Advance(absl::Seconds(1));
  Heal();
  EXPECT_EQ(listener->calls, 2);
}

TEST_F(FullDisk, Fault28_SyncFailureIsHandedToTheHandler) {
  std::vector<absl::Status> failures;
  options_.on_disk_failure = [&](const absl::Status& status) { failures.push_back(status); };
  Reopen();
  (void)coordinator_->NoteWrite(absl::UnavailableError("cannot read"));
  EXPECT_TRUE(failures.empty());
  (void)coordinator_->NoteWrite(MarkSyncFailure(absl::UnavailableError("cannot sync x")));
  ASSERT_EQ(failures.size(), 1);
  EXPECT_THAT(failures[0].message(), HasSubstr("cannot sync x"));
}

}  // namespace
}  // namespace distillery

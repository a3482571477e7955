// Fault 59: a worker that is lost is evidence; and what workers say of their memory.
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class LostWorkers : public CoordinatorTest {
 protected:
  // The worker takes a task and is not heard of again.
  TaskId Lose(const std::string& worker) {
    const TaskGrant grant = Take(worker);
    clock_.Advance(options_.lease_duration);
    coordinator_->Tick();
    return grant.lease.task;
  }
  std::string RegisterWithMemory(int64_t bytes) {
    const auto worker =
        coordinator_->leases().Register(NewId(), "large-host", "avx2", "fastest", {"", bytes});
    EXPECT_THAT(worker, IsOk());
    return worker->worker_id;
  }
};

TEST_F(LostWorkers, Fault59_ATaskWithWhichTenWorkersInARowWereLostPausesTheRunWithTheReason) {
  const std::string run_id = StartRun(SmallSpec());
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(Lose(Register()).replica, 0);
    EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  }
  // What is counted outlives the coordinator.
  Reopen();
  Lose(Register());
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
  EXPECT_THAT(Run(run_id).row.state_reason,
              AllOf(HasSubstr("train round 0 replica 0"), HasSubstr("10 times its worker was lost"),
                    HasSubstr("host"), HasSubstr("expired"), HasSubstr("memory")));
  EXPECT_EQ(Run(run_id).row.lost_leases, 10);
  // Whoever resumes it begins anew.
  ASSERT_THAT(coordinator_->runs().Resume(run_id), IsOk());
  for (int i = 0; i < 9; ++i) Lose(Register());
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  EXPECT_THAT(Send(Take(Register()).lease, ModelFile({0.5, 0.5})), IsOk());
}

TEST_F(LostWorkers, Fault59_LossesOfManyTasksAreNoEvidenceAgainstOne) {
  RunSpec spec = SmallSpec();
  spec.training.rounds = 20;
  const std::string run_id = StartRun(spec);
  for (int round = 0; round < 20; ++round) {
    for (int loss = 0; loss < 9; ++loss) Lose(Register());
    TrainRound();
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  EXPECT_EQ(Run(run_id).row.lost_leases, 180);
}

TEST_F(LostWorkers, Fault59_WhatIsLostWithTheCoordinatorDoesNotCount) {
  const std::string run_id = StartRun(SmallSpec());
  for (int i = 0; i < 30; ++i) {
    Take(Register());
    Reopen();
    clock_.Advance(options_.lease_duration);
    coordinator_->Tick();
  }
  EXPECT_EQ(Run(run_id).row.lost_leases, 30);
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(LostWorkers, Fault59_AWorkerThatHangsIsLostToo) {
  options_.stall_limit = absl::Seconds(60);
  Reopen();
  const std::string run_id = StartRun(SmallSpec());
  for (int i = 0; i < 10; ++i) {
    const Lease lease = Take(Register()).lease;
    for (int renewal = 0; renewal < 4; ++renewal) {
      clock_.Advance(absl::Seconds(20));
      (void)coordinator_->leases().Renew(lease, 0, "");
      coordinator_->Tick();
    }
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
  EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("stalled"));
}

TEST_F(LostWorkers, Fault59_AStudentThatFitsNoWorkersMemoryIsNotTriedAndSaysWhy) {
  // 4 MiB of weights: with gradients and momentum 12 MiB at the least.
  const std::string weights = ModelFile(std::vector<float>(1 << 20, 0.5F));
  RunSpec spec = SmallSpec();
  spec.training.momentum = 0.9;
  const std::string run_id = StartRun(spec, weights);
  clock_.Advance(2 * options_.lease_duration);  // who made W_0 has gone
  const std::string small = RegisterWithMemory(8 << 20);
  for (int start = 0; start < 2; ++start) {
    ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(small));
    EXPECT_FALSE(answer.grant.has_value());
    EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
    EXPECT_THAT(Run(run_id).row.state_reason, AllOf(HasSubstr("memory"), HasSubstr("12 MiB"),
                                                    HasSubstr("large-host"), HasSubstr("8 MiB")));
    Reopen();
  }
  // One that is large enough takes it, and the reason goes.
  const TaskGrant grant = Take(RegisterWithMemory(16 << 20));
  EXPECT_EQ(grant.lease.task, (TaskId{run_id, TaskKind::kTrain, 0, 0}));
  EXPECT_EQ(Run(run_id).row.state_reason, "");
  // Nothing is known of one that says nothing.
  EXPECT_EQ(Take(Register()).lease.task.replica, 1);
}

TEST_F(LostWorkers, MemoryThatCannotBeIsRefused) {
  EXPECT_THAT(coordinator_->leases().Register(NewId(), "host", "avx2", "fastest", {"", -1}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("memory_bytes")));
}

}  // namespace
}  // namespace distillery

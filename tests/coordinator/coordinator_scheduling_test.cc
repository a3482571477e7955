// Whose turn it is, backups, quorums, dependencies between runs, the guard.
#include <map>

#include "absl/strings/str_cat.h"
#include "coordinator/coordinator.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Scheduling : public CoordinatorTest {
 protected:
  // Two runs of many replicas, which have W_0.
  std::pair<std::string, std::string> StartTwo(int64_t priority, int64_t other_priority) {
    RunSpec spec = SmallSpec();
    spec.training.replicas = 100;
    spec.scheduling.priority = priority;
    const std::string run_id = Submit(spec);
    spec.scheduling.priority = other_priority;
    const std::string other_id = Submit(spec);
    const Lease lease = Take(Register()).lease;
    const Lease other = Take(Register()).lease;
    EXPECT_THAT(Send(lease, ModelFile({1, 2})), IsOk());
    EXPECT_THAT(Send(other, ModelFile({1, 2})), IsOk());
    return {run_id, other_id};
  }
  // One worker does `count` tasks of a second each; by run, how many.
  std::map<std::string, int> DoTasks(int count) {
    std::map<std::string, int> done;
    const std::string worker = Register();
    for (int i = 0; i < count; ++i) {
      const TaskGrant grant = Take(worker);
      ++done[grant.lease.task.run_id];
      clock_.Advance(absl::Seconds(1));
      EXPECT_THAT(Send(grant.lease, ModelFile({1, 1})), IsOk());
    }
    return done;
  }
  std::vector<float> Weights(const std::string& run_id, int64_t round) {
    const auto weights = coordinator_->weights().Open(run_id, round);
    EXPECT_THAT(weights, IsOk());
    return weights.ok() ? TensorValues<float>(BytesOf(*weights), "w") : std::vector<float>();
  }
};

TEST_F(Scheduling, RunsShareOneWorkerByPriority) {
  const auto [low, high] = StartTwo(1, 3);
  const auto done = DoTasks(40);
  EXPECT_NEAR(done.at(low), 10, 1);
  EXPECT_NEAR(done.at(high), 30, 1);
}

TEST_F(Scheduling, RunsShareWorkersThatAskAtOnce) {
  const auto [first, second] = StartTwo(1, 1);
  std::map<std::string, int> leases;
  for (int i = 0; i < 10; ++i) ++leases[Take(Register()).lease.task.run_id];
  EXPECT_EQ(leases[first], 5);
  EXPECT_EQ(leases[second], 5);
}

TEST_F(Scheduling, ATaskThatFailedIsTriedOnAnotherWorker) {
  RunSpec spec = SmallSpec();
  spec.training.replicas = 1;
  const std::string run_id = StartRun(spec);
  const std::string first = Register();
  const std::string second = Register();
  ASSERT_THAT(coordinator_->leases().Release(Take(first).lease, true, "no data"), IsOk());
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer none, Ask(first));
  EXPECT_FALSE(none.grant.has_value());
  Reopen();  // who failed stands on record
  ASSERT_THAT(Ask(second), IsOk());
  ASSERT_THAT(coordinator_->leases().Register("third", "host", "avx2", "fastest"), IsOk());
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(Scheduling, ATaskThatFailsOnThreeWorkersPausesTheRun) {
  RunSpec spec = SmallSpec();
  spec.training.replicas = 1;
  const std::string run_id = StartRun(spec);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
    ASSERT_THAT(coordinator_->leases().Release(Take(Register()).lease, true, "NaN in batch 3"),
                IsOk());
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
  EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("NaN in batch 3"));
}

TEST_F(Scheduling, AWorkerThatRenewsButDoesNotGetOnLosesItsTask) {
  options_.stall_limit = absl::Seconds(100);
  Reopen();
  const std::string run_id = StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  const auto renew = [&](int64_t samples, const std::string& waiting_for) {
    clock_.Advance(absl::Seconds(25));
    coordinator_->Tick();
    return coordinator_->leases().Renew(lease, samples, waiting_for);
  };
  for (int i = 1; i <= 8; ++i) EXPECT_THAT(renew(i, ""), IsOk());
  // Waiting for a teacher is no fault of the worker's.
  for (int i = 0; i < 8; ++i) EXPECT_THAT(renew(8, "a teacher"), IsOk());
  for (int i = 0; i < 3; ++i) EXPECT_THAT(renew(8, ""), IsOk());
  EXPECT_THAT(renew(8, ""), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Run(run_id).row.lost_leases, 1);
}

TEST_F(Scheduling, AnUploadIsNoStall) {
  options_.stall_limit = absl::Seconds(20);
  Reopen();
  StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  const std::string file = ModelFile({1, 1});
  ASSERT_OK_AND_ASSIGN(auto upload, DeltaUpload::Begin(coordinator_.get(), HeaderFor(lease, file)));
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(absl::Seconds(15));
    EXPECT_THAT(coordinator_->leases().Renew(lease, 0, ""), IsOk());
    coordinator_->Tick();
  }
  ASSERT_THAT(upload->Append(0, file), IsOk());
  EXPECT_THAT(upload->Finish(1, static_cast<int64_t>(file.size()), Crc32c(file)), IsOk());
}

class Backups : public Scheduling {
 protected:
  // Three of four replicas took a second each; the fourth is still out, with `slow_`.
  void StartStraggler(bool exact = false) {
    RunSpec spec = SmallSpec();
    spec.training.replicas = 4;
    spec.scheduling.backup_after = 4;
    spec.exact = exact;
    run_id_ = StartRun(spec);
    slow_ = Take(Register()).lease;
    const std::string fast = Register();
    for (int i = 0; i < 3; ++i) {
      const Lease lease = Take(fast).lease;
      clock_.Advance(absl::Seconds(1));
      ASSERT_THAT(Send(lease, ModelFile({1, 1})), IsOk());
    }
    worker_ = fast;
  }
  std::string run_id_;
  std::string worker_;
  Lease slow_;
};

TEST_F(Backups, AStragglersTaskIsGivenToASecondWorker) {
  StartStraggler();
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer early, Ask(worker_));
  EXPECT_FALSE(early.grant.has_value());  // three seconds are not four times the median
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(coordinator_->statistics().Of(Count::kBackupLeases), 0);
  const Lease backup = Take(worker_).lease;
  EXPECT_EQ(backup.task, slow_.task);
  EXPECT_EQ(coordinator_->statistics().Of(Count::kBackupLeases), 1);
  EXPECT_GT(backup.fencing_token, slow_.fencing_token);
  EXPECT_EQ(Run(run_id_).active_leases, 2);
  // A third is not.
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer third, Ask(Register()));
  EXPECT_FALSE(third.grant.has_value());
  // The first result counts, whoever it is from; the other is told to stop.
  ASSERT_THAT(Send(backup, ModelFile({2, 2})), IsOk());
  EXPECT_THAT(coordinator_->leases().Renew(slow_, 0, ""), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Run(run_id_).row.lost_leases, 0);
  EXPECT_TRUE(coordinator_->AverageNext());
}

TEST_F(Backups, TheStragglerMayStillBeFirst) {
  StartStraggler();
  clock_.Advance(absl::Seconds(2));
  const Lease backup = Take(worker_).lease;
  ASSERT_THAT(Send(slow_, ModelFile({2, 2})), IsOk());
  EXPECT_THAT(coordinator_->leases().Renew(backup, 0, ""), StatusIs(absl::StatusCode::kAborted));
  EXPECT_TRUE(coordinator_->AverageNext());
}

TEST_F(Backups, EqualResultsAreDuplicates) {
  StartStraggler();
  clock_.Advance(absl::Seconds(2));
  const Lease backup = Take(worker_).lease;
  ASSERT_THAT(Send(backup, ModelFile({2, 2})), IsOk());
  ASSERT_OK_AND_ASSIGN(const bool duplicate, Send(slow_, ModelFile({2, 2})));
  EXPECT_TRUE(duplicate);
  EXPECT_EQ(Run(run_id_).row.nondeterminism_alarms, 0);
  EXPECT_FALSE(Run(run_id_).row.inexact);
}

TEST_F(Backups, ResultsThatDifferRaiseTheAlarmAndTheFirstCounts) {
  StartStraggler();
  clock_.Advance(absl::Seconds(2));
  const Lease backup = Take(worker_).lease;
  ASSERT_THAT(Send(backup, ModelFile({2, 2})), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  const std::vector<float> averaged = Weights(run_id_, 1);
  ASSERT_OK_AND_ASSIGN(const bool duplicate, Send(slow_, ModelFile({2, 2.5})));
  EXPECT_TRUE(duplicate);
  EXPECT_EQ(Run(run_id_).row.nondeterminism_alarms, 1);
  EXPECT_TRUE(Run(run_id_).row.inexact);
  EXPECT_EQ(Run(run_id_).row.state, RunState::kRunning);
  EXPECT_EQ(Weights(run_id_, 1), averaged);
}

TEST_F(Backups, AnExactRunPausesAtTheAlarm) {
  StartStraggler(/*exact=*/true);
  clock_.Advance(absl::Seconds(2));
  const Lease backup = Take(worker_).lease;
  ASSERT_THAT(Send(backup, ModelFile({2, 2})), IsOk());
  ASSERT_THAT(Send(slow_, ModelFile({2, 2.5})), IsOk());
  EXPECT_EQ(Run(run_id_).row.state, RunState::kPaused);
  EXPECT_THAT(Run(run_id_).row.state_reason, HasSubstr("other weights"));
}

class Quorums : public Scheduling {
 protected:
  RunSpec QuorumSpec(const std::string& late_deltas) {
    RunSpec spec = SmallSpec();
    spec.training.rounds = 3;
    spec.training.replicas = 3;
    spec.sync = {"quorum", 2, 10, late_deltas};
    return spec;
  }
};

TEST_F(Quorums, TheRoundEndsAtTheDeadlineWithWhoIsIn) {
  const std::string run_id = StartRun(QuorumSpec(""), ModelFile({0, 0}));
  const Lease late = Take(Register()).lease;
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Send(Take(Register()).lease, ModelFile({2, 4})), IsOk());
  coordinator_->Tick();
  EXPECT_FALSE(coordinator_->AverageNext());
  clock_.Advance(absl::Seconds(10));
  coordinator_->Tick();
  // While it is averaged, another one is too late.
  EXPECT_THAT(Send(late, ModelFile({8, 8})), StatusIs(absl::StatusCode::kAborted));
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_THAT(Weights(run_id, 1), ElementsAre(2, 4));
  EXPECT_THAT(Send(late, ModelFile({8, 8})), StatusIs(absl::StatusCode::kAborted));
  EXPECT_TRUE(Run(run_id).row.inexact);
  EXPECT_EQ(Run(run_id).latest_round->row.delta_count, 2);
  EXPECT_EQ(Run(run_id).active_leases, 0);
}

TEST_F(Quorums, ARoundWithAllReplicasEndsAtOnceAndStaysExact) {
  const std::string run_id = StartRun(QuorumSpec(""));
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Send(Take(Register()).lease, ModelFile({2, 4})), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_FALSE(Run(run_id).row.inexact);
}

TEST_F(Quorums, ALateDeltaCountsLessInTheNextRound) {
  const std::string run_id = StartRun(QuorumSpec("weight"), ModelFile({0, 0}));
  const Lease late = Take(Register()).lease;
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Send(Take(Register()).lease, ModelFile({2, 4})), IsOk());
  clock_.Advance(absl::Seconds(10));
  coordinator_->Tick();
  ASSERT_TRUE(coordinator_->AverageNext());
  ASSERT_THAT(Send(late, ModelFile({9, 9})), IsOk());
  // What was acknowledged is there after a restart.
  Reopen();
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Send(Take(Register()).lease, ModelFile({1, 1})), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  const double weight = 1 / std::sqrt(2.0);
  EXPECT_NEAR(Weights(run_id, 2)[0], 2 + (3 * 1 + weight * 9) / (3 + weight), 1e-6);
  EXPECT_EQ(Run(run_id).latest_round->row.late_delta_count, 1);
  // Counted once, whatever happens.
  Reopen();
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Send(Take(Register()).lease, ModelFile({1, 1})), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).latest_round->row.late_delta_count, 0);
  EXPECT_EQ(Run(run_id).latest_round->row.delta_count, 3);
}

TEST_F(Quorums, ADeltaThatComesWhileItsRoundIsAveragedCountsInTheNext) {
  const std::string run_id = StartRun(QuorumSpec("weight"), ModelFile({0, 0}));
  const Lease late = Take(Register()).lease;
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Send(Take(Register()).lease, ModelFile({2, 4})), IsOk());
  clock_.Advance(absl::Seconds(10));
  coordinator_->Tick();
  ASSERT_THAT(Send(late, ModelFile({9, 9})), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_THAT(Weights(run_id, 1), ElementsAre(2, 4));
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Send(Take(Register()).lease, ModelFile({1, 1})), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).latest_round->row.late_delta_count, 1);
}

TEST_F(Quorums, ADeltaTwoRoundsLateIsTheLastThatCounts) {
  RunSpec spec = QuorumSpec("weight");
  spec.training.rounds = 5;
  const std::string run_id = StartRun(spec);
  const Lease late = Take(Register()).lease;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < (round == 0 ? 2 : 3); ++i) {
      ASSERT_THAT(Send(Take(Register()).lease, ModelFile({2, 4})), IsOk());
    }
    clock_.Advance(absl::Seconds(10));
    if (round < 2) {
      ASSERT_THAT(coordinator_->leases().Renew(late, 0, ""), IsOk()) << round;
    }
    coordinator_->Tick();
    ASSERT_TRUE(coordinator_->AverageNext());
  }
  EXPECT_THAT(Send(late, ModelFile({9, 9})), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Run(run_id).row.completed_rounds, 3);
}

class Dependencies : public Scheduling {
 protected:
  std::string SubmitAfter(const std::string& run) {
    RunSpec spec = SmallSpec();
    spec.name = "after";
    spec.scheduling.depends_on = {run};
    return Submit(spec);
  }
  void Complete(const std::string& run_id) {
    TrainRound();
    TrainRound();
    ASSERT_THAT(Evaluate(Take(Register()).lease), IsOk());
    ASSERT_EQ(Run(run_id).row.state, RunState::kSucceeded);
  }
};

TEST_F(Dependencies, ARunWaitsForWhatItDependsOn) {
  const std::string first = StartRun(SmallSpec());
  const std::string after = SubmitAfter("small");  // by its name
  Reopen();
  EXPECT_EQ(Run(after).spec.scheduling.depends_on, std::vector<std::string>{first});
  EXPECT_THAT(Run(after).row.state_reason, HasSubstr(absl::StrCat("waits for run ", first)));
  Complete(first);
  EXPECT_EQ(Take(Register()).lease.task, (TaskId{after, TaskKind::kInitialise, 0, 0}));
}

TEST_F(Dependencies, ARunFailsWithWhatItDependsOn) {
  const std::string first = StartRun(SmallSpec());
  const std::string after = SubmitAfter(first);
  const std::string last = SubmitAfter(after);
  ASSERT_THAT(coordinator_->runs().Cancel(first), IsOk());
  EXPECT_EQ(Run(after).row.state, RunState::kFailed);
  EXPECT_EQ(Run(last).row.state, RunState::kFailed);
  EXPECT_THAT(Run(last).row.state_reason, HasSubstr(after));
}

TEST_F(Dependencies, UnknownAndFailedOnesAreRefused) {
  RunSpec spec = SmallSpec();
  spec.scheduling.depends_on = {"nobody"};
  EXPECT_THAT(coordinator_->runs().Submit("r", spec),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("\"nobody\"")));
  const std::string first = StartRun(SmallSpec());
  ASSERT_THAT(coordinator_->runs().Cancel(first), IsOk());
  spec.scheduling.depends_on = {first};
  EXPECT_THAT(coordinator_->runs().Submit("s", spec),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has not succeeded")));
}

TEST_F(Dependencies, OnlyWhatHasEndedAndIsNotWaitedForIsDeleted) {
  const std::string first = StartRun(SmallSpec());
  EXPECT_THAT(coordinator_->runs().Delete(first),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("cancel it first")));
  Complete(first);
  const std::string after = SubmitAfter(first);
  EXPECT_THAT(coordinator_->runs().Delete(first),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(after)));
  const int64_t token = Take(Register()).lease.fencing_token;
  ASSERT_THAT(coordinator_->runs().Cancel(after), IsOk());
  ASSERT_THAT(coordinator_->runs().Delete(first), IsOk());
  ASSERT_THAT(coordinator_->runs().Delete(after), IsOk());
  EXPECT_THAT(coordinator_->runs().Get(first), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(std::filesystem::exists(StateFile(absl::StrCat("weights/", first))));
  Reopen();
  EXPECT_THAT(coordinator_->runs().List(0, 10), ::testing::IsEmpty());
  // Tokens go on rising although the leases are forgotten.
  StartRun(SmallSpec());
  EXPECT_GT(Take(Register()).lease.fencing_token, token);
}

class Guards : public Scheduling {
 protected:
  RunSpec GuardedSpec() {
    RunSpec spec = SmallSpec();
    spec.training.rounds = 5;
    spec.evaluation.every_rounds = 1;
    spec.guard.metric = "cross_entropy";
    return spec;
  }
  void TrainTo(float w) { TrainRound({ModelFile({w, w}), ModelFile({w, w})}); }
  absl::StatusOr<bool> EvaluateAs(double loss) {
    EvaluationMetrics metrics = SomeEvaluation();
    metrics.held_out_sample_count = 100;
    metrics.held_out_cross_entropy = loss;
    const Lease lease = Take(Register()).lease;
    EXPECT_EQ(lease.task.kind, TaskKind::kEvaluate);
    return coordinator_->results().Evaluate(NewId(), lease, metrics);
  }
};

TEST_F(Guards, ARoundWaitsForTheEvaluationOfItsWeights) {
  StartRun(GuardedSpec());
  TrainTo(1);
  const std::string worker = Register();
  EXPECT_EQ(Take(worker).lease.task.kind, TaskKind::kEvaluate);
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer none, Ask(Register()));
  EXPECT_FALSE(none.grant.has_value());
}

TEST_F(Guards, EarlyStopLeavesTheBestWeights) {
  RunSpec spec = GuardedSpec();
  spec.guard.patience = 2;
  const std::string run_id = StartRun(spec, ModelFile({0, 0}));
  for (const double loss : {1.0, 0.5, 0.7}) {
    TrainTo(1);
    ASSERT_THAT(EvaluateAs(loss), IsOk());
    EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  }
  Reopen();
  TrainTo(1);
  ASSERT_THAT(EvaluateAs(0.6), IsOk());
  const RunView run = Run(run_id);
  EXPECT_EQ(run.row.state, RunState::kSucceeded);
  EXPECT_THAT(run.row.state_reason, HasSubstr("stopped early"));
  EXPECT_EQ(run.best_round, 2);
  EXPECT_EQ(run.row.completed_rounds, 4);
  EXPECT_THAT(Weights(run_id, -1), ElementsAre(2, 2));
  ASSERT_OK_AND_ASSIGN(const WeightsFile newest, coordinator_->weights().Open(run_id, -1));
  EXPECT_EQ(newest.sha256, run.row.weights_sha256);
  EXPECT_EQ(Sha256Hex(BytesOf(newest)), newest.sha256);
}

TEST_F(Guards, TheResultIsTheBestOfAllRounds) {
  const std::string run_id = StartRun(GuardedSpec(), ModelFile({0, 0}));
  for (const double loss : {0.5, 1.0, 1.0, 1.0, 1.0}) {
    TrainTo(1);
    ASSERT_THAT(EvaluateAs(loss), IsOk());
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kSucceeded);
  EXPECT_THAT(Weights(run_id, -1), ElementsAre(1, 1));
}

TEST_F(Guards, AnExplosionRollsBackAndTheRunGoesOn) {
  RunSpec spec = GuardedSpec();
  spec.guard.max_loss_ratio = 3;
  spec.guard.on_explosion = "roll_back";
  const std::string run_id = StartRun(spec, ModelFile({0, 0}));
  TrainTo(1);
  ASSERT_THAT(EvaluateAs(1), IsOk());
  TrainTo(100);
  ASSERT_THAT(EvaluateAs(50), IsOk());
  // The round number does not go back, the weights do.
  EXPECT_EQ(Run(run_id).row.completed_rounds, 2);
  EXPECT_EQ(Run(run_id).latest_round->row.rolled_back_to, 1);
  Reopen();
  EXPECT_THAT(Weights(run_id, 2), ElementsAre(1, 1));
  TrainTo(1);
  EXPECT_THAT(Weights(run_id, 3), ElementsAre(2, 2));
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(Guards, AnExplosionEndsARunThatIsNotToRollBack) {
  RunSpec spec = GuardedSpec();
  spec.guard.max_loss_ratio = 3;
  const std::string run_id = StartRun(spec, ModelFile({0, 0}));
  TrainTo(1);
  ASSERT_THAT(EvaluateAs(1), IsOk());
  TrainTo(100);
  ASSERT_THAT(EvaluateAs(50), IsOk());
  EXPECT_EQ(Run(run_id).row.state, RunState::kFailed);
  EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("exploded"));
  EXPECT_THAT(Weights(run_id, -1), ElementsAre(1, 1));
}

TEST_F(Guards, WhatItDecidesDoesNotDependOnACrashBeforeItIsDone) {
  RunSpec spec = GuardedSpec();
  spec.guard.patience = 1;
  const std::string run_id = StartRun(spec, ModelFile({0, 0}));
  TrainTo(1);
  ASSERT_THAT(EvaluateAs(1), IsOk());
  TrainTo(1);
  // The evaluation is on record, what follows from it is not.
  {
    coordinator_.reset();
    Record::Contents contents;
    ASSERT_OK_AND_ASSIGN(const auto record, Record::Open(StateFile("record.sqlite3"), &contents));
    EvaluationRow row{run_id, 2, SomeEvaluation(), ""};
    row.metrics.held_out_sample_count = 100;
    row.metrics.held_out_cross_entropy = 2;
    ASSERT_THAT(record->Put(row), IsOk());
  }
  Reopen();
  EXPECT_EQ(Run(run_id).row.state, RunState::kSucceeded);
  EXPECT_THAT(Weights(run_id, -1), ElementsAre(1, 1));
}

}  // namespace
}  // namespace distillery

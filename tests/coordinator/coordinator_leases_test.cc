// Workers and leases: who gets which task, until when.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/text.h"
#include "coordinator/coordinator.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

using Leases = CoordinatorTest;

TEST_F(Leases, EachReplicaIsLeasedOnceAtATime) {
  StartRun(SmallSpec());
  EXPECT_EQ(Take(Register()).lease.task.replica, 0);
  EXPECT_EQ(Take(Register()).lease.task.replica, 1);
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(Register()));
  EXPECT_FALSE(answer.grant.has_value());
}

TEST_F(Leases, TheSameRequestGetsTheSameLease) {
  StartRun(SmallSpec());
  const std::string worker = Register();
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer first, Ask("once", worker));
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer second, Ask("once", worker));
  EXPECT_EQ(second.grant->lease.fencing_token, first.grant->lease.fencing_token);
  EXPECT_EQ(second.grant->lease.task, first.grant->lease.task);
}

TEST_F(Leases, Fault51_NamesTheCardThatBelongsToTheWeights) {
  std::vector<std::string> named;
  for (const char* const card : {"{\"mean\": 1}", "{\"mean\": 2}"}) {
    const std::string run_id = Submit(SmallSpec());
    const TaskGrant initialise = Take(Register());
    EXPECT_EQ(initialise.model_card_sha256, "");
    UploadHeader header = HeaderFor(initialise.lease, ModelFile({1, 2}));
    header.model_card = card;
    ASSERT_THAT(Send(header, ModelFile({1, 2})), IsOk());
    const TaskGrant train = Take(Register());
    ASSERT_EQ(train.lease.task.run_id, run_id);
    EXPECT_EQ(train.model_card_sha256, Sha256Hex(card));
    named.push_back(train.weights_sha256);
    ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  }
  EXPECT_EQ(named[0], named[1]) << "the weights alone do not tell the two runs apart";
}

TEST_F(Leases, AskingAnewGivesUpTheLeaseBefore) {
  const std::string run_id = StartRun(SmallSpec());
  // The worker that made W_0 is gone: nobody else could take over what this one gives up.
  clock_.Advance(options_.lease_duration * 2);
  const std::string worker = Register();
  const TaskGrant first = Take(worker);
  const TaskGrant second = Take(worker);
  EXPECT_EQ(second.lease.task, first.lease.task);
  EXPECT_GT(second.lease.fencing_token, first.lease.fencing_token);
  EXPECT_THAT(coordinator_->leases().Renew(first.lease, 0, ""),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Run(run_id).row.lost_leases, 1);
}

TEST_F(Leases, RestartedWorkerRegistersAsAnother) {
  ASSERT_OK_AND_ASSIGN(const WorkerRow first,
                       coordinator_->leases().Register("once", "host", "avx2", "fastest"));
  ASSERT_OK_AND_ASSIGN(const WorkerRow again,
                       coordinator_->leases().Register("once", "host", "avx2", "fastest"));
  ASSERT_OK_AND_ASSIGN(const WorkerRow other,
                       coordinator_->leases().Register("twice", "host", "avx2", "fastest"));
  EXPECT_EQ(again.worker_id, first.worker_id);
  EXPECT_NE(other.worker_id, first.worker_id);
}

TEST_F(Leases, RegistrationNamesWhatIsWrong) {
  const auto refused = [](const char* field) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field));
  };
  EXPECT_THAT(coordinator_->leases().Register("", "host", "", "fastest"), refused("request_id"));
  EXPECT_THAT(coordinator_->leases().Register("r", "a b", "", "fastest"), refused("name"));
  EXPECT_THAT(coordinator_->leases().Register("r", "host", std::string(513, 'x'), "fastest"),
              refused("numerics_fingerprint"));
  EXPECT_THAT(coordinator_->leases().Register("r", "host", "", "quick"), refused("numerics"));
}

TEST_F(Leases, SilentWorkerLosesItsTaskAtTheDeadline) {
  const std::string run_id = StartRun(SmallSpec());
  const TaskGrant lost = Take(Register());
  clock_.Advance(options_.lease_duration - absl::Milliseconds(1));
  coordinator_->Tick();
  EXPECT_THAT(coordinator_->leases().Renew(lost.lease, 0, ""), IsOk());
  clock_.Advance(options_.lease_duration);
  coordinator_->Tick();
  EXPECT_THAT(coordinator_->leases().Renew(lost.lease, 0, ""),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Run(run_id).row.lost_leases, 1);
  const TaskGrant again = Take(Register());
  EXPECT_EQ(again.lease.task, lost.lease.task);
  EXPECT_GT(again.lease.fencing_token, lost.lease.fencing_token);
}

TEST_F(Leases, RenewalKeepsATaskForAsLongAsItTakes) {
  StartRun(SmallSpec());
  const TaskGrant grant = Take(Register());
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(options_.lease_duration * 0.9);
    coordinator_->Tick();
    ASSERT_THAT(coordinator_->leases().Renew(grant.lease, i, ""), IsOk());
  }
  EXPECT_THAT(Send(grant.lease, ModelFile({0, 0})), IsOk());
}

// The wall clock of this one may jump while its steady clock goes on.
class JumpingClock : public FakeClock {
 public:
  absl::Time WallNow() override { return FakeClock::WallNow() + jump; }
  absl::Duration jump;
};

TEST_F(Leases, Fault26_JumpsOfTheWallClockDoNotTouchLeases) {
  JumpingClock clock;
  options_.clock = &clock;
  Reopen();
  StartRun(SmallSpec());
  const TaskGrant grant = Take(Register());
  for (const absl::Duration jump : {absl::Hours(1), -absl::Hours(1)}) {
    clock.jump = jump;
    coordinator_->Tick();
    EXPECT_THAT(coordinator_->leases().Renew(grant.lease, 0, ""), IsOk());
  }
  clock.Advance(options_.lease_duration);
  coordinator_->Tick();
  EXPECT_THAT(coordinator_->leases().Renew(grant.lease, 0, ""),
              StatusIs(absl::StatusCode::kAborted));
  coordinator_.reset();  // before its clock
}

TEST_F(Leases, WaitingWorkerGetsTheTaskThatComesFree) {
  StartRun(SmallSpec());
  const TaskGrant first = Take(Register());
  Take(Register());
  std::optional<TaskGrant> got;
  coordinator_->leases().Take("wait", Register(), absl::Seconds(60),
                              [&](absl::StatusOr<LeaseAnswer> answer) { got = answer->grant; });
  coordinator_->Tick();
  EXPECT_FALSE(got.has_value());
  ASSERT_THAT(coordinator_->leases().Release(first.lease, /*failed=*/false, ""), IsOk());
  coordinator_->Tick();
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->lease.task, first.lease.task);
}

TEST_F(Leases, WaitEndsEmptyAfterItsTime) {
  bool answered = false;
  coordinator_->leases().Take("wait", Register(), absl::Seconds(5),
                              [&](absl::StatusOr<LeaseAnswer> answer) {
                                answered = true;
                                EXPECT_THAT(answer, IsOk());
                                EXPECT_FALSE(answer->grant.has_value());
                              });
  clock_.Advance(absl::Seconds(4));
  coordinator_->Tick();
  EXPECT_FALSE(answered);
  clock_.Advance(absl::Seconds(1));
  coordinator_->Tick();
  EXPECT_TRUE(answered);
}

TEST_F(Leases, CancelledWaitIsAnsweredOnceAndTakesNoTask) {
  std::vector<absl::Status> answers;
  const int64_t id = coordinator_->leases().Take(
      "wait", Register(), absl::Seconds(60),
      [&](absl::StatusOr<LeaseAnswer> answer) { answers.push_back(answer.status()); });
  coordinator_->leases().CancelWait(id);
  coordinator_->leases().CancelWait(id);
  const std::string run_id = Submit(SmallSpec());
  coordinator_->Tick();
  EXPECT_THAT(answers, ::testing::ElementsAre(StatusIs(absl::StatusCode::kCancelled)));
  EXPECT_EQ(Run(run_id).active_leases, 0);
}

TEST_F(Leases, UnknownWorkerIsToldToRegister) {
  EXPECT_THAT(Ask("worker-unknown"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("register again")));
}

TEST_F(Leases, TwoRunsShareTheWorkersEvenly) {
  RunSpec spec = SmallSpec();
  spec.training.replicas = 8;
  const std::string a = StartRun(spec);
  // W_0 of the second run: its initialise task comes first, since that run has no lease yet.
  const std::string b = Submit(spec);
  Take(Register());
  const TaskGrant initialise = Take(Register());
  ASSERT_EQ(initialise.lease.task.run_id, b);
  ASSERT_THAT(Send(initialise.lease, ModelFile({1, 2})), IsOk());
  for (int i = 0; i < 5; ++i) Take(Register());
  // Six leases in all.
  EXPECT_EQ(Run(a).active_leases, 3);
  EXPECT_EQ(Run(b).active_leases, 3);
}

TEST_F(Leases, ReleasedTaskIsLeasedAgainAtOnce) {
  StartRun(SmallSpec());
  const TaskGrant first = Take(Register());
  ASSERT_THAT(coordinator_->leases().Release(first.lease, /*failed=*/false, ""), IsOk());
  EXPECT_EQ(Take(Register()).lease.task, first.lease.task);
}

TEST_F(Leases, ReleaseSentTwiceCountsOneFailure) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string worker = Register();
  for (int i = 0; i < 2; ++i) {
    const Lease lease = Take(worker).lease;
    const std::string request = absl::StrCat("release-", i);
    for (int repeat = 0; repeat < 2; ++repeat) {
      EXPECT_THAT(coordinator_->leases().Release(lease, /*failed=*/true, "bad", request), IsOk());
    }
  }
  // Four would have been one too many.
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(Leases, TaskThatFailsThreeTimesPausesTheRun) {
  const std::string run_id = StartRun(SmallSpec());
  // The worker that made W_0 is gone: there is but one to try.
  clock_.Advance(options_.lease_duration * 2);
  const std::string worker = Register();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Run(run_id).row.state, RunState::kRunning) << i;
    ASSERT_THAT(coordinator_->leases().Release(Take(worker).lease, /*failed=*/true, "no such data"),
                IsOk());
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
  EXPECT_THAT(Run(run_id).row.state_reason,
              HasSubstr("train round 0 replica 0 failed: no such data"));
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer none, Ask(worker));
  EXPECT_FALSE(none.grant.has_value());
  // Somebody has mended the data: the failures are forgotten.
  ASSERT_OK_AND_ASSIGN(const RunView resumed, coordinator_->runs().Resume(run_id));
  EXPECT_EQ(resumed.row.state, RunState::kRunning);
  EXPECT_EQ(resumed.row.state_reason, "");
  Reopen();
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(coordinator_->leases().Release(Take(worker).lease, /*failed=*/true, "again"),
                IsOk());
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(Leases, PausedRunLeasesNothingAndGoesOnWhereItWas) {
  const std::string run_id = StartRun(SmallSpec());
  ASSERT_THAT(Send(Take(Register()).lease, ModelFile({1, 0})), IsOk());
  const std::string worker = Register();
  const TaskGrant taken_back = Take(worker);
  ASSERT_OK_AND_ASSIGN(const RunView paused, coordinator_->runs().Pause(run_id));
  EXPECT_EQ(paused.row.state, RunState::kPaused);
  EXPECT_EQ(paused.active_leases, 0);
  EXPECT_THAT(Send(taken_back.lease, ModelFile({9, 9})), StatusIs(absl::StatusCode::kAborted));
  for (int restart = 0; restart < 2; ++restart) {
    ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(worker));
    EXPECT_FALSE(answer.grant.has_value());
    Reopen();
  }
  // What was done is kept: replica 1 alone is left, and a pause changes no result.
  ASSERT_THAT(coordinator_->runs().Resume(run_id), IsOk());
  const TaskGrant last = Take(worker);
  EXPECT_EQ(last.lease.task.replica, 1);
  ASSERT_THAT(Send(last.lease, ModelFile({0, 4})), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  ASSERT_OK_AND_ASSIGN(const WeightsFile weights, coordinator_->weights().Open(run_id, 1));
  EXPECT_THAT(TensorValues<float>(BytesOf(weights), "w"), ::testing::ElementsAre(1.5F, 4.0F));
}

TEST_F(Leases, PauseAndResumeOfOtherStatesChangeNothing) {
  EXPECT_THAT(coordinator_->runs().Pause("nobody"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(coordinator_->runs().Resume("nobody"), StatusIs(absl::StatusCode::kNotFound));
  const std::string run_id = StartRun(SmallSpec());
  EXPECT_EQ(coordinator_->runs().Resume(run_id)->row.state, RunState::kRunning);
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  EXPECT_EQ(coordinator_->runs().Pause(run_id)->row.state, RunState::kCancelled);
  EXPECT_EQ(coordinator_->runs().Resume(run_id)->row.state, RunState::kCancelled);
  const std::string pending = Submit(SmallSpec());
  ASSERT_THAT(coordinator_->runs().Pause(pending), IsOk());
  EXPECT_EQ(coordinator_->runs().Resume(pending)->row.state, RunState::kPending);
}

TEST_F(Leases, ReleasesOfStoppingWorkersAreNoFailures) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string worker = Register();
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(coordinator_->leases().Release(Take(worker).lease, /*failed=*/false, ""), IsOk());
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(Leases, ATaskThatIsGivenUpWithoutAWordHasFailed) {
  const std::string run_id = StartRun(SmallSpec());
  clock_.Advance(options_.lease_duration * 2);
  const std::string worker = Register();
  for (int i = 0; i < 3; ++i) Take(worker);
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer none, Ask(worker));
  EXPECT_FALSE(none.grant.has_value());
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
  EXPECT_THAT(
      Run(run_id).row.state_reason,
      HasSubstr("train round 0 replica 0 failed: its worker asked for another task without"));
  EXPECT_EQ(Run(run_id).row.lost_leases, 3);
}

// What a worker may do wrong for ever: each of these ends its lease without a result.
class FruitlessLeases : public CoordinatorTest,
                        public ::testing::WithParamInterface<const char*> {};

TEST_P(FruitlessLeases, Fault56_OfAHundredSecondsAreAHandful) {
  RunSpec spec = SmallSpec();
  spec.training.replicas = 32;
  const std::string run_id = StartRun(spec);
  options_.lease_duration = absl::Milliseconds(100);
  // It is the worker that this is about: a run is not to pause for so many losses of one task.
  options_.max_task_losses = 10000;
  Reopen();
  const std::string how = GetParam();
  const std::string worker = Register();
  // Others live, so that no run pauses for this one's failures; they compute with something else.
  const std::vector<std::string> others = {Register("avx2", "portable"),
                                           Register("avx2", "portable")};
  int leases = 0;
  for (int i = 0; i < 2000; ++i) {
    clock_.Advance(absl::Milliseconds(50));
    coordinator_->Tick();
    ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(worker));
    for (const std::string& other : others) ASSERT_THAT(Ask(other), IsOk());
    if (!answer.grant.has_value()) continue;
    ++leases;
    if (how == "released") {
      ASSERT_THAT(coordinator_->leases().Release(answer.grant->lease, /*failed=*/false, ""),
                  IsOk());
    } else if (how == "expired") {
      clock_.Advance(absl::Milliseconds(200));
    }
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  EXPECT_GE(leases, LeasePace::kFree);
  EXPECT_LE(leases, LeasePace::kFree + 8);
  // It is no punishment for ever: one result, and the worker is as good as any.
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(LeasePace::kLongest);
    coordinator_->Tick();
  }
  ASSERT_THAT(Send(Take(worker).lease, ModelFile({0, 0})), IsOk());
  for (int i = 0; i < LeasePace::kFree; ++i) {
    ASSERT_THAT(coordinator_->leases().Release(Take(worker).lease, /*failed=*/false, ""), IsOk());
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, FruitlessLeases,
                         ::testing::Values("abandoned", "released", "expired"));

TEST_F(Leases, OtherCallsThatAWorkerHasWaitingDoNotTakeItsTaskAway) {
  const std::string worker = Register();
  int granted = 0;
  int empty = 0;
  for (int i = 0; i < 4; ++i) {
    coordinator_->leases().Take(NewId(), worker, absl::Seconds(20),
                                [&](const absl::StatusOr<LeaseAnswer>& answer) {
                                  ASSERT_THAT(answer, IsOk());
                                  ++(answer->grant.has_value() ? granted : empty);
                                });
  }
  const std::string run_id = Submit(SmallSpec());
  coordinator_->Tick();
  EXPECT_EQ(granted, 1);
  EXPECT_EQ(empty, 0);
  EXPECT_EQ(Run(run_id).active_leases, 1);
  EXPECT_EQ(Run(run_id).row.lost_leases, 0);
  clock_.Advance(absl::Seconds(20));
  coordinator_->Tick();
  EXPECT_EQ(empty, 3);
}

TEST_F(Leases, AWaitingWorkerThatRestsGetsItsTaskWhenTheRestIsOver) {
  StartRun(SmallSpec());
  const std::string worker = Register();
  for (int i = 0; i <= LeasePace::kFree; ++i) {
    ASSERT_THAT(coordinator_->leases().Release(Take(worker).lease, /*failed=*/false, ""), IsOk());
  }
  std::optional<TaskGrant> got;
  coordinator_->leases().Take("wait", worker, absl::Seconds(60),
                              [&](absl::StatusOr<LeaseAnswer> answer) { got = answer->grant; });
  clock_.Advance(LeasePace::kFirst - absl::Milliseconds(1));
  coordinator_->Tick();
  EXPECT_FALSE(got.has_value());
  clock_.Advance(absl::Milliseconds(1));
  coordinator_->Tick();
  EXPECT_TRUE(got.has_value());
}

TEST_F(Leases, Fault56_ReasonsAreCutBetweenCharactersAndStayReadable) {
  for (const std::string start : {"", "a", "ab"}) {
    std::string text = start;
    while (text.size() < 2000) text += "\xe6\x97\xa5";
    const std::string run_id = StartRun(SmallSpec());
    const TaskGrant grant = Take(Register());
    ASSERT_THAT(coordinator_->leases().Renew(grant.lease, 0, text), IsOk());
    EXPECT_TRUE(IsUtf8(Run(run_id).row.state_reason));
    EXPECT_LE(Run(run_id).row.state_reason.size(), 300);
    ASSERT_THAT(coordinator_->leases().Release(grant.lease, /*failed=*/false, ""), IsOk());
    clock_.Advance(options_.lease_duration * 2);
    const std::string worker = Register();
    for (int i = 0; i < 3; ++i) {
      ASSERT_THAT(
          coordinator_->leases().Release(Take(worker).lease, /*failed=*/true, text + "\n\x1b[2J"),
          IsOk());
    }
    ASSERT_EQ(Run(run_id).row.state, RunState::kPaused);
    EXPECT_TRUE(IsUtf8(Run(run_id).row.state_reason));
    EXPECT_LE(Run(run_id).row.state_reason.size(), 1100);
    // And from the record.
    Reopen();
    EXPECT_TRUE(IsUtf8(Run(run_id).row.state_reason));
    ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  }
}

TEST_F(Leases, Fault56_ReasonsAreOneLineWithoutControls) {
  const std::string run_id = StartRun(SmallSpec());
  const TaskGrant grant = Take(Register());
  ASSERT_THAT(coordinator_->leases().Renew(grant.lease, 0, "a\xff\n\x1b[2Jb"), IsOk());
  EXPECT_EQ(Run(run_id).row.state_reason, "a\\xff\\n\\x1b[2Jb");
}

TEST_F(Leases, AWorkerThatIsNotHeardOfForALeaseIsGone) {
  StartRun(SmallSpec());
  clock_.Advance(options_.lease_duration * 11);
  const std::string worker = Register();
  Take(worker);
  clock_.Advance(options_.lease_duration);
  ASSERT_EQ(coordinator_->leases().Workers("", 10).size(), 1);
  EXPECT_FALSE(coordinator_->leases().Workers("", 10)[0].gone);
  clock_.Advance(absl::Milliseconds(1));
  coordinator_->Tick();
  const WorkerView view = coordinator_->leases().Workers("", 10)[0];
  EXPECT_TRUE(view.gone);
  EXPECT_FALSE(view.lease.has_value());
}

TEST_F(Leases, WorkerIsToldWhichNumericsTheTasksWant) {
  RunSpec spec = SmallSpec();
  spec.numerics = "portable";
  Submit(spec);
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(Register("avx2", "fastest")));
  EXPECT_FALSE(answer.grant.has_value());
  EXPECT_EQ(answer.wanted_numerics, "portable");
  EXPECT_EQ(Take(Register("avx2", "portable")).spec.numerics, "portable");
}

TEST_F(Leases, RunOnUnlikeMachinesIsMarkedInexact) {
  const std::string run_id = StartRun(SmallSpec());
  Take(Register("avx2"));
  EXPECT_FALSE(Run(run_id).row.inexact);
  Take(Register("avx512"));
  EXPECT_TRUE(Run(run_id).row.inexact);
}

TEST_F(Leases, ExactRunRefusesUnlikeMachines) {
  RunSpec spec = SmallSpec();
  spec.exact = true;
  const std::string run_id = StartRun(spec);
  Take(Register("avx2"));
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(Register("avx512")));
  EXPECT_FALSE(answer.grant.has_value());
  EXPECT_EQ(Take(Register("avx2")).lease.task.replica, 1);
  EXPECT_FALSE(Run(run_id).row.inexact);
}

TEST_F(Leases, WhatAWorkerWaitsForIsShown) {
  const std::string run_id = StartRun(SmallSpec());
  const TaskGrant grant = Take(Register());
  ASSERT_THAT(coordinator_->leases().Renew(grant.lease, 0, "the teacher is away"), IsOk());
  EXPECT_EQ(Run(run_id).row.state_reason, "the teacher is away");
  ASSERT_THAT(coordinator_->leases().Renew(grant.lease, 0, ""), IsOk());
  EXPECT_EQ(Run(run_id).row.state_reason, "");
}

}  // namespace
}  // namespace distillery

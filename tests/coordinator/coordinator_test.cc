// Runs: submitting, listing, watching, ending, weights and what is kept of them.
#include "coordinator/coordinator.h"

#include <cmath>

#include "coordinator/state/checked_table.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Runs = CoordinatorTest;

std::vector<std::string> Ids(const std::vector<RunView>& views) {
  std::vector<std::string> ids;
  for (const RunView& view : views) ids.push_back(view.row.run_id);
  return ids;
}

TEST_F(Runs, SubmittedRunIsPendingUntilItHasWeights) {
  const std::string run_id = Submit(SmallSpec());
  EXPECT_EQ(Run(run_id).row.state, RunState::kPending);
  EXPECT_EQ(Run(run_id).spec.student.architecture, "mlp:64-10");
  const std::string weights = ModelFile({1, 2});
  ASSERT_THAT(Send(Take(Register()).lease, weights), IsOk());
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  EXPECT_EQ(Run(run_id).row.weights_sha256, Sha256Hex(weights));
  EXPECT_EQ(Run(run_id).row.initial_weights_sha256, Sha256Hex(weights));
}

TEST_F(Runs, TheSameRequestGivesTheSameRun) {
  ASSERT_OK_AND_ASSIGN(const RunView first, coordinator_->runs().Submit("once", SmallSpec()));
  ASSERT_OK_AND_ASSIGN(const RunView second, coordinator_->runs().Submit("once", SmallSpec()));
  EXPECT_EQ(second.row.run_id, first.row.run_id);
  EXPECT_EQ(coordinator_->runs().List(0, 10).size(), 1);
}

TEST_F(Runs, InvalidSpecIsRefusedNamingTheField) {
  RunSpec spec = SmallSpec();
  spec.loss.temperature = 0;
  EXPECT_THAT(coordinator_->runs().Submit("r", spec),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("loss.temperature")));
  EXPECT_THAT(coordinator_->runs().List(0, 10), IsEmpty());
}

TEST_F(Runs, UnknownRunIsNotFoundEverywhere) {
  const auto not_found = StatusIs(absl::StatusCode::kNotFound, HasSubstr("\"nobody\""));
  EXPECT_THAT(coordinator_->runs().Get("nobody"), not_found);
  EXPECT_THAT(coordinator_->runs().Rounds("nobody"), not_found);
  EXPECT_THAT(coordinator_->runs().Cancel("nobody"), not_found);
  EXPECT_THAT(coordinator_->weights().Open("nobody", 0), not_found);
  EXPECT_THAT(coordinator_->runs().Watch("nobody", nullptr), not_found);
}

TEST_F(Runs, AreListedNewestFirstInPages) {
  const std::string a = Submit(SmallSpec());
  const std::string b = Submit(SmallSpec());
  const std::string c = Submit(SmallSpec());
  EXPECT_THAT(Ids(coordinator_->runs().List(0, 2)), ElementsAre(c, b));
  EXPECT_THAT(Ids(coordinator_->runs().List(2, 2)), ElementsAre(a));
}

TEST_F(Runs, RoundsAndTheLastEvaluationMakeARunSucceed) {
  const std::string run_id = StartRun(SmallSpec());
  TrainRound();
  EXPECT_EQ(Run(run_id).row.completed_rounds, 1);
  TrainRound();
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  const TaskGrant grant = Take(Register());
  EXPECT_EQ(grant.lease.task, (TaskId{run_id, TaskKind::kEvaluate, 2, 0}));
  EXPECT_EQ(grant.weights_sha256, Run(run_id).row.weights_sha256);
  ASSERT_THAT(Evaluate(grant.lease), IsOk());
  const RunView run = Run(run_id);
  EXPECT_EQ(run.row.state, RunState::kSucceeded);
  EXPECT_EQ(run.latest_evaluation_round, 2);
  EXPECT_EQ(run.latest_evaluation->correct_count, 300);
}

TEST_F(Runs, RoundFiguresAreSumsAndMeansBySamples) {
  RunSpec spec = SmallSpec();
  spec.training.local_steps = 0;
  spec.training.local_epochs = 1;
  spec.dataset.shard_size = 300;
  shard_sizes_ = {100, 300};
  ASSERT_OK_AND_ASSIGN(const SamplePlan plan, SamplePlan::Create(spec, shard_sizes_));
  const std::string run_id = StartRun(spec);
  const std::string delta = ModelFile({0, 0});
  for (int64_t replica = 0; replica < 2; ++replica) {
    UploadHeader header = HeaderFor(Take(Register()).lease, delta);
    const int64_t samples = plan.SampleCount(0, replica);
    const double loss = samples == 100 ? 1 : 2;
    header.metrics = {samples, 4, loss, loss / 2, loss / 4, 8, 2, 3};
    ASSERT_THAT(Send(header, delta), IsOk());
  }
  ASSERT_TRUE(coordinator_->AverageNext());
  ASSERT_OK_AND_ASSIGN(const std::vector<RoundView> rounds, coordinator_->runs().Rounds(run_id));
  ASSERT_EQ(rounds.size(), 1);
  const TrainMetrics& total = rounds[0].row.metrics;
  EXPECT_EQ(total.sample_count, 400);
  EXPECT_EQ(total.step_count, 8);
  EXPECT_DOUBLE_EQ(total.loss, 1.75);         // (100 * 1 + 300 * 2) / 400
  EXPECT_DOUBLE_EQ(total.soft_loss, 0.875);   // half of it
  EXPECT_DOUBLE_EQ(total.hard_loss, 0.4375);  // a quarter
  EXPECT_DOUBLE_EQ(total.seconds, 16);
  EXPECT_DOUBLE_EQ(total.teacher_wait_seconds, 4);
  EXPECT_EQ(total.teacher_failover_count, 6);
}

TEST_F(Runs, WeightsOfARoundThatHasNotBegunAreRefused) {
  const std::string run_id = Submit(SmallSpec());
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(coordinator_->weights().Open(run_id, -1), refused);
  ASSERT_THAT(Send(Take(Register()).lease, ModelFile({1, 2})), IsOk());
  EXPECT_THAT(coordinator_->weights().Open(run_id, 1), refused);
  EXPECT_THAT(coordinator_->weights().Open(run_id, -2), refused);
  ASSERT_OK_AND_ASSIGN(const WeightsFile newest, coordinator_->weights().Open(run_id, -1));
  EXPECT_EQ(newest.round, 0);
  EXPECT_EQ(BytesOf(newest), ModelFile({1, 2}));
  EXPECT_THAT(newest.buffer_names, ElementsAre("mean", "steps"));
  EXPECT_EQ(newest.model_card, "{}");
}

TEST_F(Runs, OldWeightsAndSpooledDeltasAreCollected) {
  options_.kept_rounds = 2;
  Reopen();
  RunSpec spec = SmallSpec();
  spec.training.rounds = 4;
  const std::string run_id = StartRun(spec);
  for (int i = 0; i < 3; ++i) TrainRound();
  EXPECT_THAT(coordinator_->weights().Open(run_id, 1),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no longer kept")));
  EXPECT_THAT(coordinator_->weights().Open(run_id, 2), IsOk());
  EXPECT_THAT(coordinator_->weights().Open(run_id, 3), IsOk());
  // Those of the last round are kept to rebuild its weights from, while the run goes on.
  const auto spooled = [&] {
    return std::distance(std::filesystem::directory_iterator(StateFile("spool/" + run_id)), {});
  };
  EXPECT_EQ(spooled(), 2);
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  EXPECT_EQ(spooled(), 0);
}

TEST_F(Runs, WeightsThatAnEvaluationNeedsAreKept) {
  options_.kept_rounds = 1;
  Reopen();
  RunSpec spec = SmallSpec();
  spec.training.rounds = 4;
  spec.training.replicas = 1;
  spec.evaluation.every_rounds = 1;
  const std::string run_id = StartRun(spec);
  TrainRound({ModelFile({1, 0})});
  const TaskGrant evaluation = Take(Register());
  ASSERT_EQ(evaluation.lease.task.kind, TaskKind::kEvaluate);
  // Training goes on for another round while W_1 is evaluated.
  TrainRound({ModelFile({1, 0})});
  EXPECT_THAT(coordinator_->weights().Open(run_id, 1), IsOk());
  ASSERT_THAT(Evaluate(evaluation.lease), IsOk());
  EXPECT_THAT(coordinator_->weights().Open(run_id, 1), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(Runs, CancelledRunStaysCancelledAndItsLeasesEnd) {
  const std::string run_id = StartRun(SmallSpec());
  const TaskGrant grant = Take(Register());
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  EXPECT_THAT(Send(grant.lease, ModelFile({0, 0})), StatusIs(absl::StatusCode::kAborted));
  ASSERT_OK_AND_ASSIGN(const RunView again, coordinator_->runs().Cancel(run_id));
  EXPECT_EQ(again.row.state, RunState::kCancelled);
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(Register()));
  EXPECT_FALSE(answer.grant.has_value());
}

class CountingListener : public RunListener {
 public:
  void OnRunChanged() override { ++calls; }
  int calls = 0;
};

TEST_F(Runs, ListenersAreToldOfChangesOfTheirRunAlone) {
  const std::string watched = Submit(SmallSpec());
  const std::string other = Submit(SmallSpec());
  coordinator_->Tick();
  auto listener = std::make_shared<CountingListener>();
  ASSERT_THAT(coordinator_->runs().Watch(watched, listener), IsOk());
  ASSERT_THAT(coordinator_->runs().Cancel(other), IsOk());
  coordinator_->Tick();
  EXPECT_EQ(listener->calls, 0);
  ASSERT_THAT(coordinator_->runs().Cancel(watched), IsOk());
  coordinator_->Tick();
  EXPECT_EQ(listener->calls, 1);
  coordinator_->Tick();
  EXPECT_EQ(listener->calls, 1);
}

TEST_F(Runs, ListenersOfABusyRunAreToldTenTimesASecond) {
  RunSpec spec = SmallSpec();
  spec.training.replicas = 100;
  const std::string run_id = StartRun(spec);
  auto listener = std::make_shared<CountingListener>();
  ASSERT_THAT(coordinator_->runs().Watch(run_id, listener), IsOk());
  for (int i = 0; i < 100; ++i) {
    ASSERT_THAT(Send(Take(Register()).lease, ModelFile({1, 1})), IsOk());
    clock_.Advance(absl::Milliseconds(10));
    coordinator_->Tick();
  }
  EXPECT_GE(listener->calls, 9);
  EXPECT_LE(listener->calls, 11);
  // The last change is not forgotten, and the end is told at once.
  const int calls = listener->calls;
  clock_.Advance(absl::Milliseconds(100));
  coordinator_->Tick();
  EXPECT_EQ(listener->calls, calls + 1);
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  coordinator_->Tick();
  EXPECT_EQ(listener->calls, calls + 2);
}

TEST_F(Runs, WithoutWorkersTheReasonSaysWhatToDo) {
  const std::string run_id = Submit(SmallSpec());
  EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("start student_worker"));
  Register();
  EXPECT_EQ(Run(run_id).live_workers, 1);
  EXPECT_EQ(Run(run_id).row.state_reason, "");
  clock_.Advance(options_.lease_duration + absl::Seconds(1));
  EXPECT_EQ(Run(run_id).live_workers, 0);
}

TEST_F(Runs, Fault16_SecondCoordinatorOnOneFolderIsRefused) {
  EXPECT_THAT(Coordinator::Open(options_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr(absl::StrCat("in use by process ", getpid()))));
  // The first one goes on.
  EXPECT_NE(Submit(SmallSpec()), "");
}

TEST_F(Runs, CloseEndsWaitingCallsAndRefusesNewOnes) {
  absl::Status status;
  const std::string worker = Register();
  coordinator_->leases().Take("r", worker, absl::Seconds(10),
                              [&](absl::StatusOr<LeaseAnswer> got) { status = got.status(); });
  coordinator_->Close();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Ask(worker), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(CoordinatorTest, ADeltaThatExplodesPausesTheRunUntilItIsResumed) {
  RunSpec spec = SmallSpec();
  spec.averaging.max_norm_ratio = 5;
  const std::string run_id = StartRun(spec);
  TrainRound({ModelFile({1, 0}), ModelFile({0, 2})});
  EXPECT_EQ(Run(run_id).latest_round->row.delta_norm, 1.5);
  TrainRound({ModelFile({1, 0}), ModelFile({0, 100})});
  const RunView paused = Run(run_id);
  EXPECT_EQ(paused.row.state, RunState::kPaused);
  EXPECT_THAT(paused.row.state_reason, ::testing::HasSubstr("replica 1"));
  EXPECT_EQ(paused.row.completed_rounds, 1);
  EXPECT_FALSE(coordinator_->AverageNext());
  // After a restart as well; the deltas are kept.
  Reopen();
  EXPECT_FALSE(coordinator_->AverageNext());
  ASSERT_THAT(coordinator_->runs().Resume(run_id), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).row.completed_rounds, 2);
}

TEST_F(CoordinatorTest, OuterAdamKeepsItsMomentsFromRoundToRound) {
  RunSpec spec = SmallSpec();
  spec.outer = {"adam", 1, 0.5, 0.5, 1};
  const std::string run_id = StartRun(spec, ModelFile({0, 0}));
  TrainRound({ModelFile({2, 0}), ModelFile({2, 0})});
  Reopen();
  TrainRound({ModelFile({2, 0}), ModelFile({2, 0})});
  ASSERT_OK_AND_ASSIGN(const WeightsFile weights, coordinator_->weights().Open(run_id, 2));
  // m = 1, then 1.5; v = 2, then 3: W = 1 / (sqrt 2 + 1) + 1.5 / (sqrt 3 + 1)
  EXPECT_NEAR(TensorValues<float>(BytesOf(weights), "w")[0],
              1 / (std::sqrt(2.0) + 1) + 1.5 / (std::sqrt(3.0) + 1), 1e-6);
}

// The record of a coordinator before it knew dkd's terms, top 5 and norms.
TEST_F(CoordinatorTest, ARecordOfAnOlderVersionGoesOn) {
  const std::string run_id = StartRun(SmallSpec());
  TrainRound();
  coordinator_.reset();
  {
    ASSERT_OK_AND_ASSIGN(const auto database, Database::Open(StateFile("record.sqlite3")));
    ASSERT_THAT(database->Execute("DROP TABLE evaluations"), IsOk());
    ASSERT_OK_AND_ASSIGN(Table old, Table::Open(database.get(), "evaluations",
                                                {"run_id TEXT", "round INTEGER",
                                                 "sample_count INTEGER", "correct_count INTEGER",
                                                 "cross_entropy REAL", "agreement_count INTEGER"},
                                                2));
    ASSERT_THAT(old.Put({run_id, int64_t{1}, int64_t{397}, int64_t{300}, 0.5, int64_t{-1}}),
                IsOk());
  }
  Reopen();
  ASSERT_TRUE(Run(run_id).latest_evaluation.has_value());
  EXPECT_EQ(Run(run_id).latest_evaluation->correct_count, 300);
  EXPECT_EQ(Run(run_id).latest_evaluation->top5_count, 0);
  EXPECT_TRUE(Run(run_id).latest_evaluation->of_one_class());
  TrainRound();
  EXPECT_EQ(Run(run_id).row.completed_rounds, 2);
}

}  // namespace
}  // namespace distillery

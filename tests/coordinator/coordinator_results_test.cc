// Results: what is counted, once, and what is not.
#include <utility>

#include "coordinator/coordinator.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Results : public CoordinatorTest {
 protected:
  std::vector<float> NewestW(const std::string& run_id) {
    const auto weights = coordinator_->weights().Open(run_id, -1);
    EXPECT_THAT(weights, IsOk());
    return weights.ok() ? TensorValues<float>(BytesOf(*weights), "w") : std::vector<float>{};
  }
  const std::string delta_ = ModelFile({0.5, 0.5});
};

TEST_F(Results, RoundEndsWhenAllReplicasAreIn) {
  const std::string run_id = StartRun(SmallSpec());
  const TaskGrant first = Take(Register());
  const TaskGrant second = Take(Register());
  ASSERT_THAT(Send(first.lease, ModelFile({1, 0})), IsOk());
  EXPECT_FALSE(coordinator_->AverageNext());
  ASSERT_THAT(Send(second.lease, ModelFile({0, 4})), IsOk());
  EXPECT_TRUE(coordinator_->AverageNext());
  EXPECT_FALSE(coordinator_->AverageNext());
  // [1, 2] + ([1, 0] + [0, 4]) / 2
  EXPECT_THAT(NewestW(run_id), ElementsAre(1.5F, 4.0F));
}

TEST_F(Results, WeightsDoNotDependOnTheOrderOfArrival) {
  // Summed in replica order these give 1/3, in other orders 0: see AverageTest.
  const std::vector<std::string> deltas = {ModelFile({1e30F, 0}), ModelFile({-1e30F, 0}),
                                           ModelFile({1, 0})};
  RunSpec spec = SmallSpec();
  spec.training.replicas = 3;
  for (const std::vector<int>& arrival : {std::vector<int>{0, 1, 2}, {2, 1, 0}, {1, 2, 0}}) {
    const std::string run_id = StartRun(spec, ModelFile({0, 0}));
    std::vector<TaskGrant> grants;
    for (int k = 0; k < 3; ++k) grants.push_back(Take(Register()));
    for (const int k : arrival) ASSERT_THAT(Send(grants[k].lease, deltas[k]), IsOk());
    ASSERT_TRUE(coordinator_->AverageNext());
    EXPECT_THAT(NewestW(run_id), ElementsAre(1.0F / 3.0F, 0.0F));
    ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  }
}

TEST_F(Results, NesterovMomentumGoesFromRoundToRound) {
  RunSpec spec = SmallSpec();
  spec.training.replicas = 1;
  spec.outer.optimizer = "nesterov";
  spec.outer.learning_rate = 1;
  spec.outer.momentum = 0.5;
  const std::string run_id = StartRun(spec, ModelFile({10, 0}));
  TrainRound({ModelFile({-1, 0})});
  // g = 1; m = 1; 10 - (1 + 0.5 * 1)
  EXPECT_THAT(NewestW(run_id), ElementsAre(8.5F, 0.0F));
  TrainRound({ModelFile({-1, 0})});
  // g = 1; m = 0.5 * 1 + 1 = 1.5; 8.5 - (1 + 0.5 * 1.5)
  EXPECT_THAT(NewestW(run_id), ElementsAre(6.75F, 0.0F));
}

TEST_F(Results, LateCommitIsAborted) {
  const std::string run_id = StartRun(SmallSpec());
  const TaskGrant late = Take(Register());
  clock_.Advance(options_.lease_duration);
  coordinator_->Tick();
  EXPECT_THAT(Send(late.lease, delta_), StatusIs(absl::StatusCode::kAborted));
  // The worker leases anew, and its result counts.
  ASSERT_OK_AND_ASSIGN(const bool duplicate, Send(Take(late.lease.worker_id).lease, delta_));
  EXPECT_FALSE(duplicate);
}

TEST_F(Results, LeaseThatEndsDuringTheUploadIsAborted) {
  StartRun(SmallSpec());
  const TaskGrant grant = Take(Register());
  ASSERT_OK_AND_ASSIGN(const auto upload,
                       DeltaUpload::Begin(coordinator_.get(), HeaderFor(grant.lease, delta_)));
  ASSERT_THAT(upload->Append(0, delta_), IsOk());
  clock_.Advance(options_.lease_duration);
  coordinator_->Tick();
  EXPECT_THAT(upload->Finish(1, static_cast<int64_t>(delta_.size()), Crc32c(delta_)),
              StatusIs(absl::StatusCode::kAborted));
}

TEST_F(Results, Fault02_RetryAfterALostAnswerIsADuplicateAndCountedOnce) {
  const std::string run_id = StartRun(SmallSpec());
  const TaskGrant first = Take(Register());
  const UploadHeader header = HeaderFor(first.lease, delta_);
  ASSERT_OK_AND_ASSIGN(const bool counted_before, Send(header, delta_));
  EXPECT_FALSE(counted_before);
  ASSERT_OK_AND_ASSIGN(const bool duplicate, Send(header, delta_));
  EXPECT_TRUE(duplicate);
  // Also when the round has been closed meanwhile.
  ASSERT_THAT(Send(Take(Register()).lease, delta_), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  ASSERT_OK_AND_ASSIGN(const bool late_duplicate, Send(header, delta_));
  EXPECT_TRUE(late_duplicate);
  ASSERT_OK_AND_ASSIGN(const std::vector<RoundView> rounds, coordinator_->runs().Rounds(run_id));
  ASSERT_EQ(rounds.size(), 1);
  EXPECT_EQ(rounds[0].row.metrics.sample_count, 200);  // two replicas of 100
}

TEST_F(Results, Fault46_CommitForAFutureRoundIsRefused) {
  StartRun(SmallSpec());
  Lease lease = Take(Register()).lease;
  lease.task.round = 1;
  EXPECT_THAT(Send(lease, delta_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("round 1 has not begun")));
}

TEST_F(Results, Fault46_CommitForAnOldRoundIsAborted) {
  StartRun(SmallSpec());
  const TaskGrant grant = Take(Register());
  ASSERT_THAT(Send(grant.lease, delta_), IsOk());
  ASSERT_THAT(Send(Take(Register()).lease, delta_), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_THAT(Send(grant.lease, delta_), StatusIs(absl::StatusCode::kAborted));
}

TEST_F(Results, Fault46_CommitWithAnOldTokenIsAborted) {
  StartRun(SmallSpec());
  const TaskGrant old = Take(Register());
  clock_.Advance(options_.lease_duration);
  coordinator_->Tick();
  const TaskGrant newer = Take(Register());
  ASSERT_EQ(newer.lease.task, old.lease.task);
  EXPECT_THAT(Send(old.lease, delta_), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(Send(newer.lease, delta_), IsOk());
}

TEST_F(Results, Fault46_AnotherWorkersLeaseIsDenied) {
  StartRun(SmallSpec());
  const TaskGrant grant = Take(Register());
  Lease stolen = grant.lease;
  stolen.worker_id = Register();
  const auto denied = StatusIs(absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(Send(stolen, delta_), denied);
  EXPECT_THAT(coordinator_->leases().Renew(stolen, 0, ""), denied);
  EXPECT_THAT(coordinator_->leases().Release(stolen, /*failed=*/false, ""), denied);
  EXPECT_THAT(Send(grant.lease, delta_), IsOk());
}

TEST_F(Results, LeaseOfOneTaskDoesNotServeForAnother) {
  StartRun(SmallSpec());
  Lease lease = Take(Register()).lease;
  for (const int64_t replica : {int64_t{1}, int64_t{2}, int64_t{-1}}) {
    lease.task.replica = replica;
    EXPECT_THAT(Send(lease, delta_), StatusIs(absl::StatusCode::kAborted)) << replica;
  }
}

TEST_F(Results, ResultForAnUnknownRunIsNotFound) {
  StartRun(SmallSpec());
  Lease lease = Take(Register()).lease;
  lease.task.run_id = "nobody";
  EXPECT_THAT(Send(lease, delta_), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(Results, RunIsBoundToTheFirstDigestsThatComeIn) {
  const std::string run_id = StartRun(SmallSpec());
  UploadHeader header = HeaderFor(Take(Register()).lease, delta_);
  header.teacher_digest = "teacher-1";
  header.dataset_digest = "data-1";
  ASSERT_THAT(Send(header, delta_), IsOk());
  EXPECT_EQ(Run(run_id).row.teacher_digest, "teacher-1");
  const TaskGrant next = Take(Register());
  EXPECT_EQ(next.expected_teacher_digest, "teacher-1");
  EXPECT_EQ(next.expected_dataset_digest, "data-1");
  header = HeaderFor(next.lease, delta_);
  header.teacher_digest = "teacher-2";
  EXPECT_THAT(Send(header, delta_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("teacher-2")));
}

TEST_F(Results, EvaluationIsTakenOnce) {
  RunSpec spec = SmallSpec();
  spec.evaluation.every_rounds = 1;
  const std::string run_id = StartRun(spec);
  TrainRound();
  const Lease lease = Take(Register()).lease;
  ASSERT_EQ(lease.task.kind, TaskKind::kEvaluate);
  EvaluationMetrics metrics = SomeEvaluation();
  metrics.agreement_count = 390;
  ASSERT_OK_AND_ASSIGN(const bool counted,
                       coordinator_->results().Evaluate("once", lease, metrics));
  EXPECT_FALSE(counted);
  ASSERT_OK_AND_ASSIGN(const bool again, coordinator_->results().Evaluate("once", lease, metrics));
  EXPECT_TRUE(again);
  EXPECT_THAT(coordinator_->results().Evaluate("twice", lease, metrics),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Run(run_id).latest_evaluation->agreement_count, 390);
}

TEST_F(Results, FiguresOfEachKindOfAnswerSurviveARestart) {
  RunSpec spec = SmallSpec();
  spec.evaluation.every_rounds = 1;
  const std::string run_id = StartRun(spec);
  TrainRound();
  const Lease lease = Take(Register()).lease;
  EvaluationMetrics metrics = SomeEvaluation();
  metrics.position_count = 1000;
  metrics.correct_position_count = 900;
  metrics.label_count = 2;
  metrics.macro_f1 = 0.5;
  metrics.value_count = 3;
  metrics.r2 = -0.25;
  metrics.f1_per_label = {0.25, 0.75};
  ASSERT_THAT(coordinator_->results().Evaluate("once", lease, metrics), IsOk());
  Reopen();
  const RunView view = *coordinator_->runs().Get(run_id, /*with_details=*/true);
  const EvaluationMetrics& read = *view.latest_evaluation;
  VisitOfKinds([&](const char* name, auto figure, auto /*count*/) {
    EXPECT_EQ(read.*figure, metrics.*figure) << name;
  });
  EXPECT_EQ(read.f1_per_label, metrics.f1_per_label);
}

TEST_F(Results, EvaluationFiguresThatCannotBeAreRefused) {
  RunSpec spec = SmallSpec();
  spec.evaluation.every_rounds = 1;
  StartRun(spec);
  const Lease train = Take(Register()).lease;
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(coordinator_->results().Evaluate("r", train, SomeEvaluation()), refused);
  ASSERT_THAT(coordinator_->leases().Release(train, /*failed=*/false, ""), IsOk());
  TrainRound();
  const Lease lease = Take(Register()).lease;
  for (const auto& [samples, correct] : {std::pair<int64_t, int64_t>{0, 0}, {10, 11}, {10, -1}}) {
    EvaluationMetrics metrics;
    metrics.sample_count = samples;
    metrics.correct_count = correct;
    EXPECT_THAT(coordinator_->results().Evaluate("r", lease, metrics), refused);
  }
  EXPECT_THAT(Send(lease, delta_), refused);  // evaluations are reported, not uploaded
  EXPECT_THAT(Evaluate(lease), IsOk());
}

TEST_F(Results, Fault48_IdsThatAreNoNamesAreRefusedWithoutALocalPath) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string worker = Register();
  const Lease taken = Take(worker).lease;
  for (const std::string& bad :
       {std::string("../../etc/passwd"), std::string(1 << 20, 'a'), std::string("\xFF\xFE"),
        std::string("a\0b", 3), std::string(), std::string(".hidden"), std::string("a/b")}) {
    Lease lease = taken;
    UploadHeader header = HeaderFor(lease, delta_);
    header.request_id = bad;
    lease.task.run_id = bad;
    for (const absl::Status& status :
         {coordinator_->runs().Get(bad).status(), coordinator_->runs().Cancel(bad).status(),
          coordinator_->weights().Open(bad, 0).status(),
          coordinator_->runs().Submit(bad, SmallSpec()).status(),
          coordinator_->leases().Register(bad, "host", "", "fastest").status(),
          coordinator_->leases().Register("r", bad, "", "fastest").status(),
          Ask(bad, worker).status(), Ask("r", bad).status(), Send(header, delta_).status(),
          Send(lease, delta_).status()}) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
      EXPECT_LT(status.message().size(), 600) << "the message must not repeat a long id";
      EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr(folder_.path())));
    }
  }
  EXPECT_EQ(Run(run_id).row.completed_rounds, 0);
}

}  // namespace
}  // namespace distillery

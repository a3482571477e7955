// Fault 53: what was accepted can be read for ever, and a row that cannot be costs its run alone.
#include <cmath>
#include <functional>
#include <limits>

#include "coordinator/offline/state_check.h"
#include "coordinator/offline/state_export.h"
#include "coordinator/state/record.h"
#include "nlohmann/json.hpp"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const double kNan = std::nan("");
const double kInfinity = std::numeric_limits<double>::infinity();

class Readable : public CoordinatorTest {
 protected:
  // A run after its first round, which waits for the evaluation of W_1.
  std::string TrainedRun(RunSpec spec = SmallSpec()) {
    spec.evaluation.every_rounds = 1;
    const std::string run_id = StartRun(spec);
    TrainRound();
    return run_id;
  }
  static EvaluationMetrics Diverged() {
    EvaluationMetrics metrics = SomeEvaluation();
    metrics.cross_entropy = kNan;
    metrics.calibration_bins = {{397, 300, kNan}};
    metrics.samples_per_class = {200, 197};
    metrics.correct_per_class = {200, 100};
    return metrics;
  }
  std::string Findings() {
    const auto report = CheckState(options_.state_dir, {});
    EXPECT_THAT(report, IsOk());
    std::string text;
    for (const StateFinding& finding : report->findings) {
      absl::StrAppend(&text, finding.kind, " ", finding.what, "; ", finding.remedy, "\n");
    }
    return text;
  }
  using Change = std::function<void(Record&, Record::Contents&)>;
  // Changes rows of a stopped coordinator, with sound checksums.
  void Rewrite(const Change& change) {
    coordinator_.reset();
    Record::Contents contents;
    auto record = Record::Open(StateFile("record.sqlite3"), &contents);
    ASSERT_THAT(record, IsOk());
    change(**record, contents);
  }
  // In a copy of `image` after `change` to the row of `run_id`: that run alone is damaged, `other`
  // goes on, and a person can cancel and delete.
  void CheckDamagedRun(const std::string& image, const std::string& run_id,
                       const std::string& other, const std::string& what, const Change& change) {
    coordinator_.reset();
    options_.state_dir = folder_.File("damaged-" + NewId());
    std::filesystem::copy(image, options_.state_dir, std::filesystem::copy_options::recursive);
    Rewrite([&](Record& record, Record::Contents& contents) {
      if (contents.runs[0].run_id != run_id) std::swap(contents.runs[0], contents.runs[1]);
      change(record, contents);
    });
    EXPECT_THAT(Findings(), AllOf(HasSubstr("damaged record: run " + run_id), HasSubstr(what),
                                  HasSubstr("--forget-run " + run_id), Not(HasSubstr(other))));
    ASSERT_NO_THROW(Reopen());
    EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
    EXPECT_THAT(Run(run_id).row.state_reason, AllOf(HasSubstr("damaged: "), HasSubstr(what)));
    EXPECT_EQ(coordinator_->runs().List(0, 100).size(), 2);
    EXPECT_THAT(coordinator_->runs().Rounds(run_id), IsOk());
    (void)coordinator_->weights().Open(run_id, -1);  // an answer, whichever
    EXPECT_THAT(coordinator_->leases().History(run_id, 0, 100), IsOk());
    EXPECT_THAT(ExportState(options_.state_dir), IsOk());
    EXPECT_THAT(coordinator_->runs().Resume(run_id),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("damaged")));
    // The other goes on.
    const TaskGrant grant = Take(Register());
    EXPECT_EQ(grant.lease.task.run_id, other);
    EXPECT_THAT(Send(grant.lease, ModelFile({1, 2})), IsOk());
    // A person has a way out.
    ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
    Reopen();
    EXPECT_EQ(Run(run_id).row.state, RunState::kCancelled);
    EXPECT_THAT(coordinator_->runs().Delete(run_id), IsOk());
    EXPECT_EQ(coordinator_->runs().List(0, 100).size(), 1);
  }
};

TEST_F(Readable, Fault53_AnEvaluationThatIsNoNumberFailsItsRunByNameAndTheStartGoesOn) {
  const std::string run_id = TrainedRun();
  ASSERT_OK_AND_ASSIGN(const bool duplicate, coordinator_->results().Evaluate(
                                                 NewId(), Take(Register()).lease, Diverged()));
  EXPECT_FALSE(duplicate);
  const std::string other = Submit(SmallSpec());
  for (int start = 0; start < 2; ++start) {
    SCOPED_TRACE(start);
    const RunView run = Run(run_id);
    EXPECT_EQ(run.row.state, RunState::kFailed);
    EXPECT_THAT(run.row.state_reason, AllOf(HasSubstr("diverged"), HasSubstr("after 1 rounds"),
                                            HasSubstr("lower training.learning_rate")));
    ASSERT_TRUE(run.latest_evaluation.has_value());
    EXPECT_TRUE(std::isnan(run.latest_evaluation->cross_entropy));
    EXPECT_EQ(coordinator_->runs().List(0, 100).size(), 2);
    EXPECT_EQ(Run(other).row.state, RunState::kPending);
    EXPECT_THAT(ExportState(options_.state_dir), IsOk());
    Reopen();
  }
  coordinator_.reset();
  EXPECT_EQ(Findings(), "");
}

TEST_F(Readable, Fault53_ACrashBeforeTheRunHasFailedDoesNotLoseThatItDiverged) {
  const std::string run_id = TrainedRun();
  Rewrite([&](Record& record, Record::Contents&) {
    EvaluationRow row{run_id, 1, SomeEvaluation(), ""};
    row.metrics.cross_entropy = kInfinity;
    ASSERT_THAT(record.Put(row), IsOk());
  });
  Reopen();
  EXPECT_EQ(Run(run_id).row.state, RunState::kFailed);
  EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("diverged"));
}

TEST_F(Readable, Fault53_AnOldFolderWhoseDetailsHoldNullStarts) {
  const std::string run_id = TrainedRun();
  ASSERT_THAT(Evaluate(Take(Register()).lease), IsOk());
  TrainRound();
  ASSERT_THAT(Evaluate(Take(Register()).lease), IsOk());
  Rewrite([&](Record& record, Record::Contents& contents) {
    EvaluationRow row = contents.evaluations.back();
    row.metrics.cross_entropy = kNan;
    row.details_json =
        R"({"samples_per_class":[7],"correct_per_class":[7],"confusion_matrix":[7],)"
        R"("calibration_bins":[{"sample_count":7,"correct_count":7,"confidence_sum":null}]})";
    ASSERT_THAT(record.Put(row), IsOk());
  });
  EXPECT_EQ(Findings(), "");
  Reopen();
  ASSERT_OK_AND_ASSIGN(const RunView run, coordinator_->runs().Get(run_id, /*with_details=*/true));
  EXPECT_EQ(run.row.state, RunState::kSucceeded) << "what has ended stays as it is";
  EXPECT_THAT(run.latest_evaluation->samples_per_class, ::testing::ElementsAre(7));
}

TEST_F(Readable, Fault53_AGuardDecidesOnAHeldOutLossThatIsNoNumberAndARestartAgrees) {
  RunSpec spec = SmallSpec();
  spec.training.rounds = 4;
  spec.guard.metric = "cross_entropy";
  spec.guard.on_explosion = "roll_back";
  const std::string run_id = TrainedRun(spec);
  const auto report = [&](double loss) {
    EvaluationMetrics metrics = SomeEvaluation();
    metrics.cross_entropy = metrics.held_out_cross_entropy = loss;
    metrics.held_out_sample_count = metrics.sample_count;
    return coordinator_->results().Evaluate(NewId(), Take(Register()).lease, metrics);
  };
  ASSERT_THAT(report(0.5), IsOk());
  TrainRound();
  ASSERT_THAT(report(kNan), IsOk());
  Reopen();
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  EXPECT_EQ(Run(run_id).best_round, 1);
  ASSERT_OK_AND_ASSIGN(const std::vector<RoundView> rounds, coordinator_->runs().Rounds(run_id));
  EXPECT_EQ(rounds[1].row.rolled_back_to, 1);
}

TEST_F(Readable, Fault53_FiguresThatNoCorrectWorkerMeasuresAreRefusedAndCount) {
  StartRun(SmallSpec());
  const std::string delta = ModelFile({0.5, 0.5});
  const std::string worker = Register();
  const std::vector<std::pair<std::string, std::function<void(TrainMetrics&)>>> changes = {
      {"metrics.loss", [](TrainMetrics& m) { m.loss = kNan; }},
      {"metrics.soft_loss", [](TrainMetrics& m) { m.soft_loss = kInfinity; }},
      {"metrics.hard_loss", [](TrainMetrics& m) { m.hard_loss = -kInfinity; }},
      {"metrics.seconds", [](TrainMetrics& m) { m.seconds = 1e300; }},
      {"metrics.teacher_wait_seconds", [](TrainMetrics& m) { m.teacher_wait_seconds = kNan; }},
      {"metrics.data_wait_seconds", [](TrainMetrics& m) { m.data_wait_seconds = kNan; }},
      {"metrics.dkd_target_loss", [](TrainMetrics& m) { m.dkd_target_loss = kNan; }},
      {"metrics.dkd_other_loss", [](TrainMetrics& m) { m.dkd_other_loss = kNan; }},
      {"metrics.step_count", [](TrainMetrics& m) { m.step_count = -1; }},
      {"metrics.teacher_failover_count",
       [](TrainMetrics& m) { m.teacher_failover_count = std::numeric_limits<int64_t>::max(); }}};
  const Lease lease = Take(worker).lease;
  for (const auto& [field, change] : changes) {
    UploadHeader header = HeaderFor(lease, delta);
    change(header.metrics);
    EXPECT_THAT(Send(header, delta), StatusIs(kInvalid, HasSubstr(field)));
  }
  EXPECT_EQ(coordinator_->statistics().Of(Count::kRejectedDeltas, "figures"),
            static_cast<int64_t>(changes.size()));
  EXPECT_EQ(coordinator_->statistics().Of(Count::kStrikes), static_cast<int64_t>(changes.size()));
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(worker));
  EXPECT_FALSE(answer.grant.has_value()) << "it is set aside";
}

TEST_F(Readable, Fault53_ARowThatCannotBeReadCostsItsRunAlone) {
  RunSpec spec = SmallSpec();
  spec.evaluation.every_rounds = 1;
  spec.training.local_steps = 0;
  spec.training.local_epochs = 1;
  spec.dataset.shard_size = 100;
  shard_sizes_ = {100, 100};
  const std::string run_id = StartRun(spec);
  TrainRound();
  ASSERT_THAT(Evaluate(Take(Register()).lease), IsOk());
  const std::string other = Submit(SmallSpec());
  const std::string image = CrashImage();
  const std::string state = options_.state_dir;
  const std::vector<std::pair<std::string, Change>> changes = {
      {"spec cannot be read",
       [&](Record& record, Record::Contents& contents) {
         RunRow row = contents.runs[0];
         row.spec_json = R"({"name":"small","training":{"learning_rate":null}})";
         ASSERT_THAT(record.Put(row), IsOk());
       }},
      {"newer version",
       [&](Record& record, Record::Contents& contents) {
         RunRow row = contents.runs[0];
         row.spec_json = R"({"name":"small","warp":9})";
         ASSERT_THAT(record.Put(row), IsOk());
       }},
      {"buffer_names",
       [&](Record& record, Record::Contents& contents) {
         RunRow row = contents.runs[0];
         row.buffer_names = "mean";
         ASSERT_THAT(record.Put(row), IsOk());
       }},
      {"state is 99",
       [&](Record& record, Record::Contents& contents) {
         RunRow row = contents.runs[0];
         row.state = static_cast<RunState>(99);
         ASSERT_THAT(record.Put(row), IsOk());
       }},
      {"the evaluation after 1 rounds",
       [&](Record& record, Record::Contents& contents) {
         EvaluationRow row = contents.evaluations[0];
         row.details_json = "{}";
         ASSERT_THAT(record.Put(row), IsOk());
       }},
      {"is missing",
       [&](Record& record, Record::Contents& contents) {
         RunRow row = contents.runs[0];
         row.completed_rounds = 2;
         ASSERT_THAT(record.Put(row), IsOk());
       }},
      {"sizes of shards",
       [&](Record& record, Record::Contents&) {
         ASSERT_THAT(record.Put(PlanRow{run_id, "1*2*3"}), IsOk());
       }},
      {"dataset.shard_size", [&](Record& record, Record::Contents&) {
         ASSERT_THAT(record.Put(PlanRow{run_id, "101*2"}), IsOk());
       }}};
  for (const auto& [what, change] : changes) {
    SCOPED_TRACE(what);
    CheckDamagedRun(image, run_id, other, what, change);
  }
}

TEST_F(Readable, Fault53_TheSpecsOwnJsonIsReadBackWhateverItsTextsAndNumbers) {
  RunSpec spec = SmallSpec();
  spec.teacher.model = "odd: \"\\\x01\x7F\t\n--- # & * ! \xC2\x85\xE2\x80\xA8\xF0\x9F\x98\x80";
  spec.seed = std::numeric_limits<int64_t>::min();
  spec.loss.temperature = std::numeric_limits<double>::denorm_min();
  spec.training.learning_rate = std::numeric_limits<double>::max();
  const std::string run_id = Submit(spec);
  Reopen();
  EXPECT_EQ(RunSpecToJson(Run(run_id).spec), RunSpecToJson(spec));
  EXPECT_EQ(Run(run_id).row.state, RunState::kPending);
}

TEST_F(Readable, Fault56_LongTextsAreCutBetweenCharacters) {
  const std::string run_id = StartRun(SmallSpec());
  for (const char* const letter : {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"}) {
    for (int shift = 0; shift < 4; ++shift) {
      std::string text(static_cast<size_t>(shift), 'a');
      while (text.size() < 1100) text += letter;
      const Lease lease = Take(Register()).lease;
      ASSERT_THAT(coordinator_->leases().Renew(lease, 0, text), IsOk());
      const std::string shown = Run(run_id).row.state_reason;
      EXPECT_LE(shown.size(), 300);
      EXPECT_GT(shown.size(), 290);
      EXPECT_NO_THROW((void)nlohmann::json(shown).dump());
      for (int failure = 0; failure < 3; ++failure) {
        const Lease failing = failure == 0 ? lease : Take(Register()).lease;
        ASSERT_THAT(coordinator_->leases().Release(failing, /*failed=*/true, text), IsOk());
      }
      EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
      EXPECT_GT(Run(run_id).row.state_reason.size(), 900);
      EXPECT_NO_THROW((void)nlohmann::json(Run(run_id).row.state_reason).dump());
      ASSERT_THAT(coordinator_->runs().Resume(run_id), IsOk());
    }
  }
}

}  // namespace
}  // namespace distillery

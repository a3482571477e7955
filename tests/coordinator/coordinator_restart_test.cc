// Restarts: after a clean end, and from a copy of the state folder as kill -9 would leave it.
#include <sqlite3.h>

#include "common/base/files.h"
#include "coordinator/coordinator.h"
#include "coordinator/state/record_reader.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Restart : public CoordinatorTest {
 protected:
  // Runs SQL on the record of a stopped coordinator.
  void Tamper(const std::string& sql) {
    coordinator_.reset();
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(StateFile("record.sqlite3").c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(handle);
    EXPECT_EQ(sqlite3_changes(handle), 1);
    sqlite3_close(handle);
  }
  std::string NewestSha256(const std::string& run_id) { return Run(run_id).row.weights_sha256; }

  const std::string delta_ = ModelFile({0.5, 0.5});
};

TEST_F(Restart, GoesOnInTheSameRound) {
  const std::string run_id = StartRun(SmallSpec());
  TrainRound();
  ASSERT_THAT(Send(Take(Register()).lease, delta_), IsOk());
  const std::string before = NewestSha256(run_id);
  Reopen();
  EXPECT_EQ(Run(run_id).row.completed_rounds, 1);
  EXPECT_EQ(NewestSha256(run_id), before);
  // Replica 0 of round 1 was counted; replica 1 is next.
  EXPECT_EQ(Take(Register()).lease.task, (TaskId{run_id, TaskKind::kTrain, 1, 1}));
}

TEST_F(Restart, KeepsRunsWorkersAndRequests) {
  ASSERT_OK_AND_ASSIGN(const RunView run, coordinator_->runs().Submit("once", SmallSpec()));
  ASSERT_OK_AND_ASSIGN(const WorkerRow worker,
                       coordinator_->leases().Register("hello", "host", "avx2", "fastest"));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const RunView again, coordinator_->runs().Submit("once", SmallSpec()));
  EXPECT_EQ(again.row.run_id, run.row.run_id);
  EXPECT_EQ(RunSpecToJson(again.spec), RunSpecToJson(SmallSpec()));
  ASSERT_OK_AND_ASSIGN(const WorkerRow same,
                       coordinator_->leases().Register("hello", "host", "avx2", "fastest"));
  EXPECT_EQ(same.worker_id, worker.worker_id);
}

TEST_F(Restart, LeaseLivesOnWithItsFullTime) {
  StartRun(SmallSpec());
  const TaskGrant grant = Take(Register());
  clock_.Advance(options_.lease_duration * 0.9);
  Reopen();
  clock_.Advance(options_.lease_duration * 0.9);
  coordinator_->Tick();
  EXPECT_THAT(Send(grant.lease, delta_), IsOk());
}

TEST_F(Restart, TokensGoOnRising) {
  StartRun(SmallSpec());
  const TaskGrant before = Take(Register());
  clock_.Advance(options_.lease_duration);
  coordinator_->Tick();
  Reopen();
  EXPECT_GT(Take(Register()).lease.fencing_token, before.lease.fencing_token);
  EXPECT_THAT(Send(before.lease, delta_), StatusIs(absl::StatusCode::kAborted));
}

TEST_F(Restart, EndedRunStaysEnded) {
  const std::string run_id = StartRun(SmallSpec());
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  Reopen();
  EXPECT_EQ(Run(run_id).row.state, RunState::kCancelled);
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(Register()));
  EXPECT_FALSE(answer.grant.has_value());
}

TEST_F(Restart, FailuresAreCountedAcrossRestarts) {
  const std::string run_id = StartRun(SmallSpec());
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(coordinator_->leases().Release(Take(Register()).lease, /*failed=*/true, "bad"),
                IsOk());
    Reopen();
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
}

TEST_F(Restart, EvaluationThatIsStillOutIsDoneAfterANewerOne) {
  RunSpec spec = SmallSpec();
  spec.training.rounds = 3;
  spec.evaluation.every_rounds = 1;
  const std::string run_id = StartRun(spec);
  TrainRound();
  const TaskGrant first = Take(Register());
  TrainRound();
  const TaskGrant second = Take(Register());
  ASSERT_EQ(second.lease.task, (TaskId{run_id, TaskKind::kEvaluate, 2, 0}));
  ASSERT_THAT(Evaluate(second.lease), IsOk());
  Reopen();
  EXPECT_THAT(Evaluate(first.lease), IsOk());
}

TEST_F(Restart, ALeaseWhoseEvaluationIsForgottenEndsOnRecordToo) {
  RunSpec spec = SmallSpec();
  spec.training.rounds = 3;
  spec.evaluation.every_rounds = 1;
  const std::string run_id = StartRun(spec);
  TrainRound();
  const TaskGrant grant = Take(Register());
  ASSERT_EQ(grant.lease.task, (TaskId{run_id, TaskKind::kEvaluate, 1, 0}));
  TrainRound();
  coordinator_.reset();
  ASSERT_THAT(RemoveFile(StateFile("weights/" + run_id + "/00000001.safetensors")), IsOk());
  Reopen();
  EXPECT_THAT(Evaluate(grant.lease), StatusIs(absl::StatusCode::kAborted));
  std::vector<StoredRow> rows;
  ASSERT_OK_AND_ASSIGN(const auto reader, RecordReader::Open(StateFile("record.sqlite3"),
                                                             RecordReader::Access::kRead));
  ASSERT_THAT(reader->Read("leases", &rows), IsOk());
  int found = 0;
  for (const StoredRow& row : rows) {
    if (row.Number("fencing_token") != grant.lease.fencing_token) continue;
    ++found;
    EXPECT_EQ(row.Text("outcome"), "cancelled");
    EXPECT_EQ(row.Number("ended_unix_millis"), absl::ToUnixMillis(clock_.WallNow()));
  }
  EXPECT_EQ(found, 1);
}

TEST_F(Restart, FailOversOfARoundStayOnRecord) {
  const std::string run_id = StartRun(SmallSpec());
  for (const int64_t failovers : {3, 4}) {
    UploadHeader header = HeaderFor(Take(Register()).lease, delta_);
    header.metrics.teacher_failover_count = failovers;
    ASSERT_THAT(Send(header, delta_), IsOk());
    Reopen();
  }
  ASSERT_TRUE(coordinator_->AverageNext());
  Reopen();
  ASSERT_OK_AND_ASSIGN(const std::vector<RoundView> rounds, coordinator_->runs().Rounds(run_id));
  ASSERT_EQ(rounds.size(), 1);
  EXPECT_EQ(rounds[0].row.metrics.teacher_failover_count, 7);
}

TEST_F(Restart, Fault04_RetryOfARecordedResultIsADuplicateAfterACrash) {
  const std::string run_id = StartRun(SmallSpec());
  const UploadHeader header = HeaderFor(Take(Register()).lease, delta_);
  ASSERT_THAT(Send(header, delta_), IsOk());
  ReopenOn(CrashImage());
  ASSERT_OK_AND_ASSIGN(const bool duplicate, Send(header, delta_));
  EXPECT_TRUE(duplicate);
  ASSERT_THAT(Send(Take(Register()).lease, delta_), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  ASSERT_OK_AND_ASSIGN(const std::vector<RoundView> rounds, coordinator_->runs().Rounds(run_id));
  ASSERT_EQ(rounds.size(), 1);
  EXPECT_EQ(rounds[0].row.metrics.sample_count, 200);  // two replicas of 100
}

TEST_F(Restart, Fault05_CrashBeforeTheRecordIsWrittenCountsNothing) {
  StartRun(SmallSpec());
  const TaskGrant grant = Take(Register());
  const UploadHeader header = HeaderFor(grant.lease, delta_);
  ASSERT_OK_AND_ASSIGN(const auto upload, DeltaUpload::Begin(coordinator_.get(), header));
  ASSERT_THAT(upload->Append(0, delta_), IsOk());
  ReopenOn(CrashImage());
  ASSERT_OK_AND_ASSIGN(const bool duplicate, Send(header, delta_));
  EXPECT_FALSE(duplicate);
  EXPECT_TRUE(std::filesystem::is_empty(StateFile("incoming")));
}

TEST_F(Restart, Fault06_AveragingAgainAfterACrashGivesTheSameBytes) {
  const std::string run_id = StartRun(SmallSpec());
  ASSERT_THAT(Send(Take(Register()).lease, ModelFile({0.1F, 1e-3F}, 0.7F, 3)), IsOk());
  ASSERT_THAT(Send(Take(Register()).lease, ModelFile({0.3F, 1e+3F}, 0.9F, 4)), IsOk());
  const std::string image = CrashImage();
  ASSERT_TRUE(coordinator_->AverageNext());
  const std::string undisturbed = NewestSha256(run_id);
  ReopenOn(image);
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(NewestSha256(run_id), undisturbed);
}

TEST_F(Restart, Fault07_WeightsInPlaceWithoutTheirRecordAreMadeAgain) {
  const std::string run_id = StartRun(SmallSpec());
  ASSERT_THAT(Send(Take(Register()).lease, delta_), IsOk());
  ASSERT_THAT(Send(Take(Register()).lease, delta_), IsOk());
  const std::string image = CrashImage();
  ASSERT_TRUE(coordinator_->AverageNext());
  const std::string undisturbed = NewestSha256(run_id);
  // The crash came between the rename of W_1 and the transaction.
  const std::string w1 = "/weights/" + run_id + "/00000001.safetensors";
  std::filesystem::copy(options_.state_dir + w1, image + w1);
  ReopenOn(image);
  EXPECT_EQ(Run(run_id).row.completed_rounds, 0);
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(NewestSha256(run_id), undisturbed);
}

TEST_F(Restart, Fault29_TornEndOfTheLogLeavesTheLastCommittedTransaction) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string image = CrashImage();
  const std::string log = image + "/record.sqlite3-wal";
  ASSERT_GT(std::filesystem::file_size(log), 0);
  // The next transaction's frames got only half of their way to the disk.
  const auto committed = std::filesystem::file_size(log);
  Submit(SmallSpec());
  const std::string later = StateFile("record.sqlite3-wal");
  ASSERT_GT(std::filesystem::file_size(later), committed);
  std::filesystem::copy(later, log, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::resize_file(log, committed + (std::filesystem::file_size(log) - committed) / 2);
  ReopenOn(image);
  EXPECT_EQ(coordinator_->runs().List(0, 10).size(), 1);
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  EXPECT_EQ(Take(Register()).lease.task, (TaskId{run_id, TaskKind::kTrain, 0, 0}));
}

TEST_F(Restart, Fault30_DamagedRowIsRefusedNamingTableAndRow) {
  const std::string run_id = StartRun(SmallSpec());
  TrainRound();
  // Flips the lowest bit of the digest's first letter.
  Tamper(
      "UPDATE rounds SET weights_sha256 = "
      "char(unicode(weights_sha256) + 1 - 2 * (unicode(weights_sha256) % 2)) || "
      "substr(weights_sha256, 2)");
  EXPECT_THAT(Coordinator::Open(options_),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("table rounds"), HasSubstr("(" + run_id + ", 0)"))));
}

TEST_F(Restart, Fault30_EveryTableIsChecked) {
  RunSpec spec = SmallSpec();
  spec.evaluation.every_rounds = 1;
  StartRun(spec);
  TrainRound();
  ASSERT_THAT(Evaluate(Take(Register()).lease), IsOk());
  const std::string image = CrashImage();
  for (const auto& [table, column] :
       {std::pair<std::string, std::string>{"runs", "completed_rounds"},
        {"tasks", "round"},
        {"leases", "fencing_token"},
        {"rounds", "sample_count"},
        {"workers", "registered_unix_seconds"},
        {"evaluations", "correct_count"}}) {
    options_.state_dir = folder_.File("damaged-" + table);
    std::filesystem::copy(image, options_.state_dir, std::filesystem::copy_options::recursive);
    Tamper("UPDATE " + table + " SET " + column + " = " + column +
           " + 1024 WHERE rowid = (SELECT min(rowid) FROM " + table + ")");
    EXPECT_THAT(Coordinator::Open(options_),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("table " + table)));
  }
}

}  // namespace
}  // namespace distillery

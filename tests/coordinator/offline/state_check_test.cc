#include "coordinator/offline/state_check.h"

#include <sqlite3.h>

#include <fstream>

#include "common/base/files.h"
#include "coordinator/coordinator.h"
#include "coordinator/offline/state_export.h"
#include "nlohmann/json.hpp"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class StateCheck : public CoordinatorTest {
 protected:
  // A run in its second round, one replica done, W_1 evaluated.
  void MakeState() {
    RunSpec spec = SmallSpec();
    spec.evaluation.every_rounds = 1;
    run_id_ = StartRun(spec);
    TrainRound();
    ASSERT_THAT(Evaluate(Take(Register()).lease), IsOk());
    ASSERT_THAT(Send(Take(Register()).lease, ModelFile({0.5, 0.5})), IsOk());
  }
  void Stop() { coordinator_.reset(); }
  void Sql(const std::string& sql) {
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(StateFile("record.sqlite3").c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(handle);
    EXPECT_GT(sqlite3_changes(handle), 0) << sql;
    sqlite3_close(handle);
  }
  // Changes the table's first row without its checksum.
  void Damage(const std::string& table, const std::string& column) {
    Sql("UPDATE " + table + " SET " + column + " = " + column +
        " + 1024 WHERE rowid = (SELECT min(rowid) FROM " + table + ")");
  }
  StateReport Check(const StateCheckOptions& options = {}) {
    auto report = CheckState(options_.state_dir, options);
    EXPECT_THAT(report, IsOk());
    return report.ok() ? *report : StateReport();
  }
  StateReport Repair() {
    StateCheckOptions options;
    options.repair = true;
    return Check(options);
  }
  static std::string Text(const StateReport& report) {
    std::string text;
    for (const StateFinding& finding : report.findings) {
      absl::StrAppend(&text, finding.kind, " ", finding.what, "; ", finding.remedy, "\n");
    }
    return text;
  }
  void Overwrite(const std::string& name, const std::string& bytes) {
    std::ofstream(StateFile(name), std::ios::binary) << bytes;
  }
  std::string SpooledDelta() {
    std::string newest;
    for (const auto& entry : std::filesystem::directory_iterator(StateFile("spool/" + run_id_))) {
      newest = std::max(newest, entry.path().filename().string());
    }
    return "spool/" + run_id_ + "/" + newest;
  }
  std::string run_id_;
};

TEST_F(StateCheck, ASoundFolderHasNoFindings) {
  MakeState();
  const std::string image = CrashImage();
  options_.state_dir = image;
  const StateReport report = Check();
  EXPECT_EQ(Text(report), "");
  EXPECT_TRUE(report.sound());
  // One run, one round, 5 tasks (initialise, 2 + 1 train, evaluate), leases of each, workers ...
  EXPECT_GT(report.row_count, 10);
  // W_0, W_1, the deltas of round 0, and the one of round 1.
  EXPECT_EQ(report.file_count, 5);
}

TEST_F(StateCheck, AFolderThatCannotBeListedIsAFindingAndLosesNoRepair) {
  MakeState();
  Stop();
  Damage("workers", "registered_unix_seconds");
  for (const char* const name : {"uploads", "incoming"}) {
    std::filesystem::remove_all(StateFile(name));
    Overwrite(name, "no folder");
  }
  const StateReport repaired = Repair();
  EXPECT_THAT(Text(repaired),
              AllOf(HasSubstr("mended record: table workers"), HasSubstr("damaged cannot list"),
                    HasSubstr("/uploads"), HasSubstr("/incoming")));
  EXPECT_FALSE(repaired.sound());
  for (const char* const name : {"uploads", "incoming"}) std::filesystem::remove(StateFile(name));
  EXPECT_TRUE(Check().sound()) << "the row is taken out";
}

TEST_F(StateCheck, AFolderInUseIsRefusedNamingTheProcess) {
  EXPECT_THAT(CheckState(options_.state_dir, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr(absl::StrCat("in use by process ", getpid()))));
}

TEST_F(StateCheck, AFolderWithoutARecordIsNotFoundAndLeftAlone) {
  EXPECT_THAT(CheckState(folder_.File("none"), {}), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ExportState(folder_.File("none")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(std::filesystem::exists(folder_.File("none")));
}

TEST_F(StateCheck, Fault30_DamagedRowsOfWhatCanBeMadeAgainAreTakenOutByRepair) {
  MakeState();
  const std::string image = CrashImage();
  for (const auto& [table, column] : {std::pair<std::string, std::string>{"tasks", "failures"},
                                      {"leases", "granted_unix_millis"},
                                      {"workers", "registered_unix_seconds"},
                                      {"evaluations", "correct_count"}}) {
    SCOPED_TRACE(table);
    Stop();
    options_.state_dir = folder_.File("damaged-" + table);
    std::filesystem::copy(image, options_.state_dir, std::filesystem::copy_options::recursive);
    Damage(table, column);
    const StateReport before = Check();
    EXPECT_FALSE(before.sound());
    EXPECT_THAT(Text(before), AllOf(HasSubstr("table " + table), HasSubstr("--repair")));
    EXPECT_THAT(Coordinator::Open(options_),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("state check")));
    const StateReport mended = Repair();
    EXPECT_TRUE(mended.sound()) << Text(mended);
    EXPECT_EQ(mended.Count("mended"), 1);
    EXPECT_EQ(Check().Count("mended"), 0);
    Reopen();
    EXPECT_EQ(Run(run_id_).row.completed_rounds, 1);
    EXPECT_EQ(Run(run_id_).row.state, RunState::kRunning);
  }
}

TEST_F(StateCheck, Fault30_ADamagedTaskIsDoneAgain) {
  MakeState();
  Stop();
  Sql("UPDATE tasks SET step_count = step_count + 1 WHERE kind = 2 AND round = 1");
  EXPECT_TRUE(Repair().sound());
  Reopen();
  EXPECT_EQ(Take(Register()).lease.task, (TaskId{run_id_, TaskKind::kTrain, 1, 0}));
}

TEST_F(StateCheck, TokensGoOnRisingAfterTheNewestLeaseWasTakenOut) {
  MakeState();
  const int64_t newest = Take(Register()).lease.fencing_token;
  Stop();
  Sql("UPDATE leases SET granted_unix_millis = 7 WHERE fencing_token = " + std::to_string(newest));
  EXPECT_TRUE(Repair().sound());
  Reopen();
  EXPECT_GT(Take(Register()).lease.fencing_token, newest);
}

TEST_F(StateCheck, Fault30_ARunWhoseOwnRowsAreDamagedCanBeForgottenAndTheOthersGoOn) {
  MakeState();
  const std::string other = Submit(SmallSpec());
  const std::string image = CrashImage();
  for (const auto& [table, column] :
       {std::pair<std::string, std::string>{"runs", "lost_leases"}, {"rounds", "sample_count"}}) {
    SCOPED_TRACE(table);
    Stop();
    options_.state_dir = folder_.File("damaged-" + table);
    std::filesystem::copy(image, options_.state_dir, std::filesystem::copy_options::recursive);
    Sql("UPDATE " + table + " SET " + column + " = " + column + " + 1024 WHERE run_id = '" +
        run_id_ + "'");
    EXPECT_THAT(Text(Repair()), HasSubstr("--forget-run " + run_id_));
    EXPECT_FALSE(Check().sound()) << "nothing can make these anew";
    // Its newest weights can still be had.
    ASSERT_OK_AND_ASSIGN(const ExportedWeights exported,
                         ExportWeights(options_.state_dir, run_id_, folder_.File("saved")));
    EXPECT_EQ(exported.round, 1);
    StateCheckOptions options;
    options.forget_run = run_id_;
    EXPECT_TRUE(Check(options).sound());
    Reopen();
    EXPECT_THAT(coordinator_->runs().Get(run_id_), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(coordinator_->runs().Get(other), IsOk());
  }
}

TEST_F(StateCheck, ForgettingARunThatIsNotThereIsRefusedAndChangesNothing) {
  MakeState();
  Stop();
  StateCheckOptions options;
  options.forget_run = "nobody";
  EXPECT_THAT(CheckState(options_.state_dir, options),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(Check().sound());
}

TEST_F(StateCheck, FilesThatAreNotAsRecordedAreNamed) {
  MakeState();
  Stop();
  const std::string w1 = "weights/" + run_id_ + "/00000001.safetensors";
  const std::string delta = SpooledDelta();
  Overwrite(w1, "other bytes");
  std::filesystem::remove(StateFile(delta));
  Overwrite("uploads/0123.safetensors", "not of that digest");
  const StateReport report = Check();
  EXPECT_EQ(report.Count("damaged"), 3) << Text(report);
  EXPECT_THAT(Text(report), AllOf(HasSubstr("damaged " + w1 + ": its SHA-256 differs"),
                                  HasSubstr("damaged " + delta + " is missing"),
                                  HasSubstr("uploads/0123.safetensors")));
}

TEST_F(StateCheck, WhatNothingNamesIsLeftOverAndNotDamage) {
  MakeState();
  Stop();
  Overwrite("incoming/half", "an upload that was cut off");
  Overwrite("weights/" + run_id_ + "/00000009.safetensors", "of a crash");
  std::filesystem::create_directories(StateFile("weights/gone-1"));
  Overwrite("weights/gone-1/00000001.safetensors", "of a run that is forgotten");
  const StateReport report = Check();
  EXPECT_TRUE(report.sound());
  EXPECT_EQ(report.Count("leftover"), 3) << Text(report);
}

TEST_F(StateCheck, ARowThatIsMissingIsDamageToo) {
  MakeState();
  Stop();
  Sql("DELETE FROM rounds");
  EXPECT_THAT(Text(Check()), HasSubstr("is missing"));
  // It costs its run alone.
  Reopen();
  EXPECT_EQ(Run(run_id_).row.state, RunState::kPaused);
  EXPECT_THAT(Run(run_id_).row.state_reason, AllOf(HasSubstr("rounds"), HasSubstr(run_id_)));
}

TEST_F(StateCheck, Fault50_PagesOfTheRecordThatAreDamagedAreFoundAndCrashNothing) {
  MakeState();
  Stop();
  const std::string path = StateFile("record.sqlite3");
  const std::string whole = *ReadFile(path, 1 << 20);
  for (size_t at = 100; at < whole.size(); at += 611) {
    std::string bytes = whole;
    for (size_t i = at; i < std::min(at + 16, bytes.size()); ++i) bytes[i] ^= '\x5A';
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    // Either nothing that is read changed, or it is said; never a crash.
    (void)CheckState(options_.state_dir, {});
    (void)ExportState(options_.state_dir);
    (void)Coordinator::Open(options_);
  }
}

TEST_F(StateCheck, ExportIsTheWholeRecordBesideARunningCoordinator) {
  MakeState();
  ASSERT_OK_AND_ASSIGN(const StateExport exported, ExportState(options_.state_dir));
  EXPECT_TRUE(exported.left_out.empty());
  const auto json = nlohmann::json::parse(exported.json);
  ASSERT_EQ(json["runs"].size(), 1);
  EXPECT_EQ(json["runs"][0]["run_id"], run_id_);
  EXPECT_EQ(json["runs"][0]["state"], "running");
  EXPECT_EQ(json["runs"][0]["spec"]["training"]["replicas"], 2);
  EXPECT_EQ(json["rounds"].size(), 1);
  EXPECT_EQ(json["evaluations"].size(), 1);
  EXPECT_EQ(json["tasks"].size(), 5);
  EXPECT_EQ(json["tasks"][0]["kind"], "initialise");
  EXPECT_EQ(json["damaged"].size(), 0);
}

TEST_F(StateCheck, ExportLeavesDamagedRowsOutAndNamesThem) {
  MakeState();
  Stop();
  Damage("evaluations", "correct_count");
  ASSERT_OK_AND_ASSIGN(const StateExport exported, ExportState(options_.state_dir));
  ASSERT_EQ(exported.left_out.size(), 1);
  EXPECT_THAT(exported.left_out[0], HasSubstr("table evaluations, row (" + run_id_ + ", 1)"));
  const auto json = nlohmann::json::parse(exported.json);
  EXPECT_EQ(json["evaluations"].size(), 0);
  EXPECT_EQ(json["damaged"][0]["table"], "evaluations");
  EXPECT_EQ(json["rounds"].size(), 1);
}

TEST_F(StateCheck, NewestSoundWeightsAreExported) {
  MakeState();
  Stop();
  const std::string w1 = "weights/" + run_id_ + "/00000001.safetensors";
  const std::string output = folder_.File("out.safetensors");
  ASSERT_OK_AND_ASSIGN(ExportedWeights exported,
                       ExportWeights(options_.state_dir, run_id_, output));
  EXPECT_EQ(exported.round, 1);
  EXPECT_EQ(*ReadFile(output, 1 << 20), *ReadFile(StateFile(w1), 1 << 20));
  Overwrite(w1, "other bytes");
  ASSERT_OK_AND_ASSIGN(exported, ExportWeights(options_.state_dir, run_id_, output));
  EXPECT_EQ(exported.round, 0);
  EXPECT_THAT(exported.skipped_rounds, ::testing::ElementsAre(1));
  EXPECT_EQ(*ReadFile(output, 1 << 20), ModelFile({1, 2}));
  Overwrite("weights/" + run_id_ + "/00000000.safetensors", "other bytes");
  EXPECT_THAT(ExportWeights(options_.state_dir, run_id_, output),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(ExportWeights(options_.state_dir, "nobody", output),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ExportWeights(options_.state_dir, "../x", output),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distillery

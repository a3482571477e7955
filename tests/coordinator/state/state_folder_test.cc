// What is in the state folder, who may read it, and who may use it.
#include "coordinator/state/state_folder.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include "common/base/files.h"
#include "coordinator/offline/state_check.h"
#include "coordinator/state/record_reader.h"
#include "tests/common/eaten_descriptors.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class StateFolderTest : public CoordinatorTest {
 protected:
  mode_t RightsOf(const std::filesystem::path& path) {
    struct stat info {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777;
  }
  // Looks at all that is in the folder.
  void ExpectPrivate() {
    EXPECT_EQ(RightsOf(options_.state_dir), 0700);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(options_.state_dir)) {
      EXPECT_EQ(RightsOf(entry.path()), entry.is_directory() ? 0700 : 0600) << entry.path();
    }
  }
  bool HasFiles(const std::string& run_id) {
    return FileExists(StateFile("weights/" + run_id)) || FileExists(StateFile("spool/" + run_id));
  }
  void Execute(const std::string& sql) {
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(StateFile("record.sqlite3").c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(handle);
    sqlite3_close(handle);
  }
  std::vector<StoredRow> Rows(const std::string& table) {
    const auto reader =
        RecordReader::Open(StateFile("record.sqlite3"), RecordReader::Access::kRead);
    std::vector<StoredRow> rows;
    EXPECT_THAT((*reader)->Read(table, &rows), IsOk());
    return rows;
  }
};

TEST_F(StateFolderTest, AllThatIsInItIsItsOwnersAlone) {
  const mode_t before = umask(0);
  RunSpec spec = SmallSpec();
  spec.outer.optimizer = "adam";
  spec.outer.learning_rate = 0.1;
  spec.outer.beta2 = 0.99;
  spec.outer.epsilon = 1e-3;
  const std::string run_id = StartRun(spec);
  TrainRound();
  EXPECT_THAT(coordinator_->weights().OpenFloat16(run_id, 1), IsOk());
  const Lease lease = Take(Register()).lease;
  const std::string delta = ModelFile({1, 0});
  const auto under_way = DeltaUpload::Begin(coordinator_.get(), HeaderFor(lease, delta));
  ASSERT_THAT(under_way, IsOk());
  umask(before);
  ExpectPrivate();
}

TEST_F(StateFolderTest, WhatAnOlderVersionLeftOpenIsMadePrivateAtTheStart) {
  StartRun(SmallSpec());
  TrainRound();
  coordinator_.reset();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(options_.state_dir)) {
    chmod(entry.path().c_str(), entry.is_directory() ? 0755 : 0644);
  }
  chmod(options_.state_dir.c_str(), 0755);
  // What is not the coordinator's is left as it is.
  const std::string other = StateFile("notes.txt");
  ASSERT_THAT(WriteFileDurably(other, "a person's"), IsOk());
  const mode_t rights = RightsOf(other);
  Reopen();
  EXPECT_EQ(RightsOf(other), rights);
  ASSERT_THAT(RemoveFile(other), IsOk());
  ExpectPrivate();
}

TEST_F(StateFolderTest, Fault66_WithoutTheLockFileNoSecondCoordinatorGetsIn) {
  const std::string run_id = StartRun(SmallSpec());
  ASSERT_THAT(RemoveFile(StateFile("lock")), IsOk());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Coordinator::Open(options_).status(),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("in use")));
    EXPECT_THAT(CheckState(options_.state_dir, {}).status(),
                StatusIs(absl::StatusCode::kFailedPrecondition));
  }
  // Another name of the same folder is no way in either.
  Coordinator::Options linked = options_;
  linked.state_dir = folder_.File("link");
  std::filesystem::create_directory_symlink(options_.state_dir, linked.state_dir);
  EXPECT_THAT(Coordinator::Open(linked).status(), StatusIs(absl::StatusCode::kFailedPrecondition));
  // The first one was not disturbed.
  TrainRound();
  EXPECT_EQ(Run(run_id).row.completed_rounds, 1);
  Reopen();
}

TEST_F(StateFolderTest, Fault65_FilesOfADeletedRunThatWereNotRemovedGoAtTheNextStart) {
  const std::string deleted = StartRun(SmallSpec());
  TrainRound();
  ASSERT_THAT(coordinator_->runs().Cancel(deleted), IsOk());
  const std::string kept = StartRun(SmallSpec());
  {
    // They cannot be removed, as if the process had ended there.
    const EatenDescriptors eaten;
    ASSERT_THAT(coordinator_->runs().Delete(deleted), IsOk());
  }
  EXPECT_THAT(coordinator_->runs().Get(deleted), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(HasFiles(deleted));
  ReopenOn(CrashImage());
  EXPECT_FALSE(HasFiles(deleted));
  EXPECT_TRUE(HasFiles(kept));
  EXPECT_TRUE(Rows("deleted").empty()) << "and nothing of it is left in the record";
  coordinator_.reset();
  ASSERT_OK_AND_ASSIGN(const StateReport report, CheckState(options_.state_dir, {}));
  EXPECT_TRUE(report.findings.empty());
  Reopen();
  EXPECT_EQ(Run(kept).row.state, RunState::kRunning);
}

TEST_F(StateFolderTest, Fault65_WhatGoesWrongOnceADeletionIsRecordedIsNoErrorOfTheDeletion) {
  const std::string run_id = StartRun(SmallSpec());
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  Execute("CREATE TRIGGER stuck BEFORE DELETE ON deleted BEGIN SELECT RAISE(FAIL, 'no'); END");
  EXPECT_THAT(coordinator_->runs().Delete(run_id), IsOk());
  EXPECT_THAT(coordinator_->runs().Get(run_id), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(HasFiles(run_id));
  EXPECT_EQ(Rows("deleted").size(), 1) << "the test is one";
  Execute("DROP TRIGGER stuck");
  Reopen();
  EXPECT_TRUE(Rows("deleted").empty());
}

TEST_F(StateFolderTest, Fault65_ADeletedRunLeavesNothing) {
  const std::string run_id = StartRun(SmallSpec());
  TrainRound();
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  ASSERT_THAT(coordinator_->runs().Delete(run_id), IsOk());
  EXPECT_FALSE(HasFiles(run_id));
  EXPECT_TRUE(Rows("deleted").empty());
}

TEST_F(StateFolderTest, Fault65_SpooledDeltasOfARunThatEndedGoAtTheNextStart) {
  const std::string run_id = StartRun(SmallSpec());
  TrainRound();
  const std::string before = CrashImage();
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  const std::string image = CrashImage();
  // The record says that it has ended, and its files were not removed yet.
  std::filesystem::remove_all(image + "/spool");
  std::filesystem::copy(before + "/spool", image + "/spool",
                        std::filesystem::copy_options::recursive);
  ReopenOn(image);
  EXPECT_TRUE(std::filesystem::is_empty(StateFile("spool/" + run_id)));
  EXPECT_THAT(coordinator_->weights().Open(run_id, -1), IsOk()) << "its weights stay";
}

TEST_F(StateFolderTest, Fault65_OldWeightsOfARunThatEndedGoAtTheNextStart) {
  options_.kept_rounds = 1;
  Reopen();
  const std::string run_id = StartRun(SmallSpec());
  TrainRound();
  const std::string w0 = StateFile("weights/" + run_id + "/00000000.safetensors");
  EXPECT_FALSE(FileExists(w0));
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  coordinator_.reset();
  // The process had ended before it removed them.
  ASSERT_THAT(WriteFileDurably(w0, "w"), IsOk());
  Reopen();
  EXPECT_FALSE(FileExists(w0));
  EXPECT_THAT(coordinator_->weights().Open(run_id, -1), IsOk()) << "the newest stay";
}

TEST_F(StateFolderTest, AFolderThatCannotBeListedIsAnErrorAndNotAnEmptyFolder) {
  coordinator_.reset();
  ASSERT_THAT(WriteFileDurably(StateFile("spool/run-1"), "no folder"), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto folder, StateFolder::Open(options_.state_dir));
  EXPECT_THAT(folder->FilesOf("run-1"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("spool/run-1")));
  EXPECT_THAT(folder->FilesOf("run-2"), IsOk()) << "it has none";
  const EatenDescriptors eaten;
  EXPECT_THAT(folder->FilesOf("run-2"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(folder->RemoveUploadedWeightsExcept({}, 0), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(folder->RemoveEmptyRunsExcept([](const std::string&) { return true; }),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(StateFolderTest, AnUploadThatCannotBeRemovedKeepsNoOther) {
  coordinator_.reset();
  ASSERT_OK_AND_ASSIGN(const auto folder, StateFolder::Open(options_.state_dir));
  // A folder is not removed as a file is. It is the oldest, so that it comes first.
  const std::string stuck = StateFile("uploads/stuck.safetensors");
  const std::string other = StateFile("uploads/other.safetensors");
  ASSERT_THAT(MakeFolders(stuck), IsOk());
  ASSERT_THAT(WriteFileDurably(other, "w"), IsOk());
  std::filesystem::last_write_time(stuck,
                                   std::filesystem::last_write_time(other) - std::chrono::hours(1));
  EXPECT_THAT(folder->RemoveUploadedWeightsExcept({}, 0).message(), HasSubstr(stuck));
  EXPECT_FALSE(FileExists(other));
}

TEST_F(StateFolderTest, Fault65_FoldersOfARunThatWasNeverRecordedGoUnlessTheyHoldAFile) {
  coordinator_.reset();
  for (const char* const folder : {"weights/lost-1", "spool/lost-1", "weights/newer-2"}) {
    ASSERT_THAT(MakeFolders(StateFile(folder)), IsOk());
  }
  // An older copy of the record, put back, does not know this run: its weights are not thrown away.
  ASSERT_THAT(WriteFileDurably(StateFile("weights/newer-2/00000000.safetensors"), "w"), IsOk());
  Reopen();
  EXPECT_FALSE(HasFiles("lost-1"));
  EXPECT_TRUE(FileExists(StateFile("weights/newer-2/00000000.safetensors")));
}

class Submitters : public StateFolderTest {
 protected:
  // A spec whose files are where its submitter works.
  static RunSpec Spec() {
    RunSpec spec = SmallSpec();
    spec.student.architecture.clear();
    spec.student.model = "/home/ann/secret project/student.pt";
    spec.student.digest = std::string(64, 'a');
    spec.teacher.model = "/home/ann/teachers/large.pt";
    return spec;
  }
};

TEST_F(Submitters, FoldersAreNeitherStoredNorShownAndTheSameRequestFindsItsRun) {
  ASSERT_OK_AND_ASSIGN(const RunView first, coordinator_->runs().Submit("once", Spec()));
  EXPECT_EQ(first.spec.student.model, "student.pt");
  EXPECT_EQ(first.spec.student.digest, std::string(64, 'a'));
  EXPECT_EQ(first.spec.teacher.model, "large.pt");
  for (const StoredRow& row : Rows("runs")) {
    EXPECT_THAT(row.Text("spec_json"), Not(HasSubstr("ann")));
  }
  EXPECT_THAT(Take(Register()).spec.student.model, Not(HasSubstr("ann")));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const RunView again, coordinator_->runs().Submit("once", Spec()));
  EXPECT_EQ(again.row.run_id, first.row.run_id);
  // A request from another place is another one, as before.
  RunSpec elsewhere = Spec();
  elsewhere.student.model = "/home/bob/student.pt";
  EXPECT_THAT(coordinator_->runs().Submit("once", elsewhere),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(Submitters, ARecordOfAnOlderVersionIsReadAndItsFoldersAreForgotten) {
  ASSERT_OK_AND_ASSIGN(const RunView run, coordinator_->runs().Submit("once", Spec()));
  coordinator_.reset();
  {
    ASSERT_OK_AND_ASSIGN(const auto record, RecordReader::Open(StateFile("record.sqlite3"),
                                                               RecordReader::Access::kMend));
    std::vector<StoredRow> rows;
    ASSERT_THAT(record->Read("runs", &rows), IsOk());
    ASSERT_EQ(rows.size(), 1);
    for (auto& [name, value] : rows[0].values) {
      if (name == "spec_json") value = RunSpecToJson(Spec());
    }
    ASSERT_THAT(record->Put("runs", rows[0].values), IsOk());
    ASSERT_THAT(record->Commit(), IsOk());
  }
  Reopen();
  EXPECT_EQ(Run(run.row.run_id).spec.student.model, "student.pt");
  for (const StoredRow& row : Rows("runs")) {
    EXPECT_THAT(row.Text("spec_json"), Not(HasSubstr("ann")));
  }
  ASSERT_OK_AND_ASSIGN(const RunView again, coordinator_->runs().Submit("once", Spec()));
  EXPECT_EQ(again.row.run_id, run.row.run_id);
}

}  // namespace
}  // namespace distillery

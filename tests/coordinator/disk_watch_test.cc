#include "coordinator/disk_watch.h"

#include <cerrno>

#include "common/base/disk_errors.h"
#include "common/base/files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

TEST(DiskErrors, OnlyAFullDiskIsOneThatCanBeWaitedFor) {
  for (const int full : {ENOSPC, EDQUOT}) {
    EXPECT_TRUE(IsDiskFull(ErrnoStatus(full, "x")));
    EXPECT_FALSE(IsSyncFailure(ErrnoStatus(full, "x")));
    EXPECT_THAT(ErrnoStatus(full, "x"), StatusIs(absl::StatusCode::kResourceExhausted));
  }
  EXPECT_FALSE(IsDiskFull(ErrnoStatus(EIO, "x")));
  EXPECT_FALSE(IsSyncFailure(ErrnoStatus(EIO, "x")));
  EXPECT_TRUE(IsSyncFailure(SyncErrnoStatus(EIO, "x")));
  EXPECT_FALSE(IsDiskFull(absl::ResourceExhaustedError("a quota")));
}

TEST(DiskErrors, Fault28_AFailedSyncIsOneForWhateverReasonUnlessTheFileIsWrittenAnew) {
  for (const int error : {EIO, ENOSPC, EDQUOT, EMFILE}) {
    const absl::Status used = SyncErrnoStatus(error, "x");
    EXPECT_TRUE(IsSyncFailure(used)) << used;
    EXPECT_FALSE(IsDiskFull(used) || IsOutOfDescriptors(used)) << used;
    const absl::Status anew = NewFileSyncErrnoStatus(error, "x");
    const bool full = error == ENOSPC || error == EDQUOT;
    EXPECT_EQ(IsDiskFull(anew), full) << anew;
    EXPECT_EQ(IsSyncFailure(anew), !full) << anew;
  }
}

class DiskWatchTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  FakeClock clock_;
  Statistics statistics_{&clock_};
  int failures_ = 0;
  DiskWatch watch_{folder_.path(), &clock_, &statistics_,
                   [this](const absl::Status&) { ++failures_; }};
};

TEST_F(DiskWatchTest, StaysFullUntilAProbeCanWrite) {
  EXPECT_THAT(watch_.Note(absl::OkStatus()), IsOk());
  EXPECT_FALSE(watch_.full());
  EXPECT_FALSE(watch_.Note(ErrnoStatus(ENOSPC, "x")).ok());
  EXPECT_FALSE(watch_.Note(ErrnoStatus(ENOSPC, "x")).ok());
  EXPECT_TRUE(watch_.full());
  EXPECT_EQ(statistics_.Of(Count::kDiskFullPauses), 1);
  watch_.Probe();
  EXPECT_TRUE(watch_.full()) << "too early";
  clock_.Advance(absl::Seconds(2));
  watch_.Probe();
  EXPECT_FALSE(watch_.full());
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path())) << "the probe leaves nothing";
}

TEST_F(DiskWatchTest, AProbeThatFailsKeepsItFull) {
  DiskWatch elsewhere(folder_.File("not-there"), &clock_, &statistics_, nullptr);
  (void)elsewhere.Note(ErrnoStatus(ENOSPC, "x"));
  clock_.Advance(absl::Seconds(2));
  elsewhere.Probe();
  EXPECT_TRUE(elsewhere.full());
}

TEST_F(DiskWatchTest, OtherErrorsChangeNothing) {
  (void)watch_.Note(ErrnoStatus(EIO, "read"));
  EXPECT_FALSE(watch_.full());
  EXPECT_EQ(failures_, 0);
  (void)watch_.Note(SyncErrnoStatus(EIO, "sync"));
  EXPECT_EQ(failures_, 1);
  (void)watch_.Note(SyncErrnoStatus(ENOSPC, "sync"));
  EXPECT_EQ(failures_, 2);
  EXPECT_FALSE(watch_.full());
}

TEST_F(DiskWatchTest, Fault28_WithoutAHandlerTheProcessEndsWithExitCode1) {
  EXPECT_EXIT(
      {
        DiskWatch watch(folder_.path(), &clock_, &statistics_, nullptr);
        (void)watch.Note(SyncErrnoStatus(EIO, "cannot sync weights"));
      },
      ::testing::ExitedWithCode(1), "");
}

}  // namespace
}  // namespace distillery

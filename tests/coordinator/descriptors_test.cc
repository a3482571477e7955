// Fault 58: a coordinator without free file descriptors, as a flood of connections leaves it.
#include <fcntl.h>

#include <filesystem>

#include "common/base/disk_errors.h"
#include "common/base/files.h"
#include "coordinator/coordinator.h"
#include "tests/common/eaten_descriptors.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class Descriptors : public CoordinatorTest {
 protected:
  Descriptors() {
    options_.on_disk_failure = [this](const absl::Status&) { ++disk_failures_; };
    Reopen();
  }
  // Reads all that a client reads of a run.
  void ExpectAnswers(const std::string& run_id) {
    EXPECT_THAT(coordinator_->runs().Get(run_id), IsOk());
    EXPECT_EQ(coordinator_->runs().List(0, 10).size(), 1);
    EXPECT_THAT(coordinator_->leases().History(run_id, 0, 10), IsOk());
  }
  // The next probe finds one.
  void Heal() {
    clock_.Advance(absl::Seconds(2));
    coordinator_->Tick();
  }

  int disk_failures_ = 0;
  const std::string a_ = ModelFile({1, 0}, 0.5, 1);
  const std::string b_ = ModelFile({0, 4}, 0.25, 2);
};

TEST_F(Descriptors, Fault58_WhatIsRecordedBecomesDurableWithoutOpeningAnything) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string worker = Register();
  {
    const EatenDescriptors eaten;
    ASSERT_LT(open("/dev/null", O_RDONLY), 0) << "the test is one";
    // A registration, a lease, its end, a paused run: each waits for the disk.
    const std::string other = Register();
    const Lease lease = Take(other).lease;
    EXPECT_THAT(coordinator_->leases().Renew(lease, 1, ""), IsOk());
    EXPECT_THAT(coordinator_->leases().Release(lease, false, ""), IsOk());
    EXPECT_THAT(coordinator_->runs().Pause(run_id), IsOk());
    EXPECT_THAT(coordinator_->runs().Resume(run_id), IsOk());
    Take(worker);
    ExpectAnswers(run_id);
  }
  EXPECT_EQ(disk_failures_, 0) << "it would have ended the process";
  ReopenOn(CrashImage());
  EXPECT_EQ(Run(run_id).active_leases, 1);
}

TEST_F(Descriptors, Fault58_EveryCallThatOpensAFileIsRefusedForNowAndWorksLater) {
  const std::string run_id = StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  const RunSpec another = SmallSpec();
  for (size_t left = 0; left < 4; ++left) {
    const EatenDescriptors eaten(left);
    const absl::Status sent = Send(lease, a_).status();
    if (sent.ok()) break;  // as many as it takes
    EXPECT_THAT(sent, StatusIs(absl::StatusCode::kUnavailable)) << left;
    if (left > 0) continue;
    EXPECT_THAT(coordinator_->weights().Open(run_id, -1).status(),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Too many open files")));
    EXPECT_THAT(coordinator_->weights().OpenFloat16(run_id, -1).status(),
                StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(coordinator_->runs().Submit(NewId(), another).status(),
                StatusIs(absl::StatusCode::kUnavailable));
    ExpectAnswers(run_id);
  }
  EXPECT_EQ(disk_failures_, 0);
  EXPECT_EQ(coordinator_->statistics().Of(Count::kDigestFailures, "weights"), 0)
      << "what cannot be opened is not damaged";
  Heal();
  EXPECT_THAT(coordinator_->weights().Open(run_id, -1), IsOk());
  EXPECT_THAT(coordinator_->runs().Submit(NewId(), another), IsOk());
  (void)Send(lease, a_);
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(Descriptors, Fault58_ARoundThatIsReadyWaitsAndIsAveragedByItselfToTheSameBits) {
  const auto ready = [this] {
    const std::string run_id = StartRun(SmallSpec());
    const std::string worker = Register();
    EXPECT_THAT(Send(Take(worker).lease, a_), IsOk());
    EXPECT_THAT(Send(Take(worker).lease, b_), IsOk());
    return run_id;
  };
  std::string undisturbed;
  {
    const std::string run_id = ready();
    ASSERT_TRUE(coordinator_->AverageNext());
    undisturbed = Run(run_id).row.weights_sha256;
    ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
    ASSERT_THAT(coordinator_->runs().Delete(run_id), IsOk());
  }
  const std::string run_id = ready();
  // Wherever in the averaging they are used up.
  for (size_t left = 0;; ++left) {
    ASSERT_LT(left, 20U);
    {
      const EatenDescriptors eaten(left);
      ASSERT_TRUE(coordinator_->AverageNext()) << "it was not asked for again";
      if (Run(run_id).row.completed_rounds == 1) break;
      EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
      EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("no free file descriptor"));
      EXPECT_FALSE(coordinator_->AverageNext()) << "it does not try without end";
      Heal();
      if (left == 0) {
        EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("no free file descriptor"));
      }
    }
    Heal();
    EXPECT_EQ(Run(run_id).row.state_reason, "");
  }
  EXPECT_EQ(Run(run_id).row.weights_sha256, undisturbed);
  EXPECT_EQ(disk_failures_, 0);
}

TEST_F(Descriptors, Fault58_WeightsAreNotTakenForDamagedNorRebuiltForWantOfADescriptor) {
  RunSpec spec = SmallSpec();
  const std::string run_id = StartRun(spec);
  const Lease lease = Take(Register()).lease;
  const std::string w0 = StateFile("weights/" + run_id + "/00000000.safetensors");
  const std::string bytes = *ReadFile(w0, 1 << 20);
  // Lost, found to be lost, put back: and then it cannot be looked at.
  ASSERT_THAT(RemoveFile(w0), IsOk());
  EXPECT_FALSE(coordinator_->weights().Open(run_id, -1).ok());
  ASSERT_THAT(WriteFileDurably(w0, bytes), IsOk());
  {
    const EatenDescriptors eaten;
    ASSERT_TRUE(coordinator_->AverageNext());
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning) << "neither paused nor initialised again";
  Heal();
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_THAT(Send(lease, a_), IsOk()) << "its lease holds";
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(Descriptors, Fault58_FilesThatARunNeedsNoMoreGoOnceTheyCanBeListed) {
  const std::string run_id = StartRun(SmallSpec());
  ASSERT_THAT(Send(Take(Register()).lease, a_), IsOk());
  const std::string spool = StateFile("spool/" + run_id);
  {
    const EatenDescriptors eaten;
    ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  }
  EXPECT_FALSE(std::filesystem::is_empty(spool)) << "the test is one";
  Heal();
  EXPECT_TRUE(std::filesystem::is_empty(spool));
  EXPECT_EQ(disk_failures_, 0);
}

}  // namespace
}  // namespace distillery

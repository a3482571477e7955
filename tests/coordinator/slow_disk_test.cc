// A slow disk holds up those who wait for the disk, and nobody else: leases are renewed meanwhile.
// These are the only tests that measure time. The disk is made so slow, ten times the bound, that a
// renewal which has to wait for it stands out on a busy machine too.
#include <gmock/gmock.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/failpoint.h"
#include "common/base/files.h"
#include "coordinator/ledger_loader.h"
#include "coordinator/run_desk.h"
#include "coordinator/upload/weights_upload.h"
#include "coordinator/weights_shelf.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

constexpr int kWorkers = 100;
constexpr absl::Duration kDisk = absl::Milliseconds(500);
constexpr absl::Duration kBound = absl::Milliseconds(50);
constexpr absl::Duration kBetweenRenewals = absl::Milliseconds(100);

class SlowDisk : public CoordinatorTest {
 protected:
  ~SlowDisk() override {
    StopRenewing();
    DisarmFailpoints();
  }
  static void SlowDown() {
    const std::string act = absl::StrCat("=sleep:", absl::ToInt64Milliseconds(kDisk));
    ASSERT_THAT(ArmFailpoints(absl::StrCat("files.syncing", act, ",files.hashing", act), ""),
                IsOk());
  }
  // Each of the workers renews its lease again and again, in a thread of its own.
  void StartRenewing(const std::vector<Lease>& leases) {
    for (const Lease& lease : leases) {
      renewers_.emplace_back([this, lease] {
        for (int64_t samples = 1; !done_; ++samples) {
          const absl::Duration began = SteadyNow();
          if (!coordinator_->leases().Renew(lease, samples, "").ok()) ++refused_;
          const absl::Duration took = SteadyNow() - began;
          ++renewals_;
          if (took > kBound) ++slow_;
          if (took > kDisk / 2) ++held_up_;
          absl::SleepFor(kBetweenRenewals);
        }
      });
    }
  }
  void StopRenewing() {
    done_ = true;
    for (std::thread& renewer : renewers_) renewer.join();
    renewers_.clear();
  }
  // How long it took.
  static absl::Duration Timed(const std::function<void()>& call) {
    const absl::Duration began = SteadyNow();
    call();
    return SteadyNow() - began;
  }

  std::atomic<bool> done_ = false;
  std::atomic<int64_t> renewals_ = 0;
  std::atomic<int64_t> refused_ = 0;
  std::atomic<int64_t> slow_ = 0;
  // By something that waited for the disk.
  std::atomic<int64_t> held_up_ = 0;
  std::vector<std::thread> renewers_;
};

TEST_F(SlowDisk, RenewalsGoOnWhileWeightsAreAveragedRebuiltTakenAndRemoved) {
  const std::string ended = StartRun(SmallSpec());
  ASSERT_THAT(coordinator_->runs().Cancel(ended), IsOk());
  const std::string damaged = StartRun(SmallSpec());
  TrainRound();
  ASSERT_THAT(coordinator_->runs().Pause(damaged), IsOk());
  const std::string averaged = StartRun(SmallSpec());
  const std::string worker = Register();
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Send(Take(worker).lease, ModelFile({1, 0})), IsOk());
  RunSpec spec = SmallSpec();
  spec.training.replicas = kWorkers + 1;
  StartRun(spec);
  std::vector<Lease> leases;
  for (int i = 0; i < kWorkers; ++i) leases.push_back(Take(Register()).lease);
  const Lease finished = Take(Register()).lease;
  ASSERT_THAT(coordinator_->runs().Resume(damaged), IsOk());
  ASSERT_THAT(WriteFileDurably(StateFile("weights/" + damaged + "/00000001.safetensors"), "rot"),
              IsOk());
  const std::string initial = ModelFile({7, 7});
  const auto initial_bytes = static_cast<int64_t>(initial.size());
  RunSpec submitted = SmallSpec();
  submitted.student.initial_weights = "mine.safetensors";
  submitted.student.initial_weights_sha256 = Sha256Hex(initial);
  const std::string delta = ModelFile({3, 3});
  const UploadHeader header = HeaderFor(finished, delta);

  SlowDown();
  StartRenewing(leases);
  std::vector<std::thread> others;
  others.emplace_back([&] {
    EXPECT_GT(Timed([&] { EXPECT_TRUE(coordinator_->AverageNext()); }), kDisk) << "the test is one";
    EXPECT_THAT(coordinator_->weights().Open(damaged, 1), StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_GT(Timed([&] { EXPECT_TRUE(coordinator_->AverageNext()); }), kDisk);
    EXPECT_THAT(coordinator_->runs().Cancel(averaged), IsOk());
  });
  others.emplace_back([&] {
    auto upload =
        WeightsUpload::Begin(coordinator_.get(), {"weights", initial_bytes, Sha256Hex(initial)});
    ASSERT_THAT(upload, IsOk());
    ASSERT_THAT((*upload)->Append(0, initial), IsOk());
    ASSERT_THAT((*upload)->Finish(1, initial_bytes, Crc32c(initial)), IsOk());
    EXPECT_THAT(coordinator_->runs().Submit("submitted", submitted), IsOk());
  });
  others.emplace_back([&] {
    EXPECT_THAT(Send(header, delta), IsOk());
    EXPECT_THAT(coordinator_->runs().Delete(ended), IsOk());
  });
  others.emplace_back([&] {
    while (!done_) {
      coordinator_->Tick();
      absl::SleepFor(kBound);
    }
  });
  for (size_t i = 0; i + 1 < others.size(); ++i) others[i].join();
  StopRenewing();
  others.back().join();
  DisarmFailpoints();

  EXPECT_EQ(Run(averaged).row.completed_rounds, 1);
  EXPECT_EQ(Run(damaged).row.state, RunState::kRunning);
  EXPECT_EQ(coordinator_->statistics().Of(Count::kDigestRepairs, "weights"), 1);
  EXPECT_EQ(refused_, 0);
  EXPECT_GT(renewals_, 10 * kWorkers) << "the test is one";
  EXPECT_LE(100 * slow_, renewals_) << "p99 is over " << kBound;
  EXPECT_LT(held_up_, 5) << "of " << renewals_ << ": somebody waits for the disk under the mutex";
}

TEST_F(SlowDisk, AWatcherIsToldOfAChangeOnceItIsOnDisk) {
  struct Listener : RunListener {
    void OnRunChanged() override { told = SteadyNow(); }
    absl::Duration told = -absl::InfiniteDuration();
  };
  const std::string run_id = StartRun(SmallSpec());
  coordinator_.reset();
  ASSERT_OK_AND_ASSIGN(const auto opened, OpenLedger(options_));
  Ledger& ledger = *opened;
  WeightsShelf shelf(ledger);
  RunDesk runs(ledger, shelf);
  const auto listener = std::make_shared<Listener>();
  ASSERT_THAT(runs.Watch(run_id, listener), IsOk());
  // They are told ten times a second at most.
  clock_.Advance(absl::Seconds(1));
  {
    // As a thread does that has not come to wait for the disk yet.
    MutexLock lock(ledger.mutex());
    const RunEntry& run = *ledger.runs.at(run_id);
    EXPECT_THAT(ledger.record->PutAll(run.row), IsOk());
    ledger.Changed(run);
  }
  SlowDown();
  const absl::Duration began = SteadyNow();
  runs.TellListeners();
  EXPECT_GE(listener->told - began, kDisk / 2);
}

TEST_F(SlowDisk, AnAverageOfARunThatHasEndedMeanwhileLeavesNoFile) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string worker = Register();
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Send(Take(worker).lease, ModelFile({1, 0})), IsOk());
  ASSERT_TRUE(std::filesystem::is_empty(StateFile("incoming"))) << "the test is one";
  ASSERT_THAT(ArmFailpoints("coordinator.average.written=sleep:1000", ""), IsOk());
  std::thread averager([&] { EXPECT_TRUE(coordinator_->AverageNext()); });
  while (std::filesystem::is_empty(StateFile("incoming"))) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  averager.join();
  EXPECT_FALSE(FileExists(StateFile("weights/" + run_id + "/00000001.safetensors")));
  EXPECT_TRUE(std::filesystem::is_empty(StateFile("incoming")));
}

}  // namespace
}  // namespace distillery

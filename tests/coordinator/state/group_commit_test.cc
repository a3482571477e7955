#include "coordinator/state/group_commit.h"

#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distillery {
namespace {

TEST(GroupCommitTest, NothingCommittedNeedsNoSync) {
  int syncs = 0;
  GroupCommit group([&] { return ++syncs, absl::OkStatus(); }, nullptr);
  group.WaitUntilDurable(group.position());
  EXPECT_EQ(syncs, 0);
}

TEST(GroupCommitTest, OneSyncServesAllThatWasCommittedBeforeIt) {
  int syncs = 0;
  GroupCommit group([&] { return ++syncs, absl::OkStatus(); }, nullptr);
  group.NoteCommit();
  const int64_t first = group.position();
  group.NoteCommit();
  group.WaitUntilDurable(first);
  group.WaitUntilDurable(group.position());
  EXPECT_EQ(syncs, 1);
  group.NoteCommit();
  group.WaitUntilDurable(first);
  EXPECT_EQ(syncs, 1);
  group.WaitUntilDurable(group.position());
  EXPECT_EQ(syncs, 2);
}

// What was committed while a sync is under way is not taken for durable when that ends.
TEST(GroupCommitTest, ACommitDuringASyncGetsOneOfItsOwn) {
  std::vector<int64_t> positions;
  GroupCommit* self = nullptr;
  GroupCommit group(
      [&] {
        positions.push_back(self->position());
        if (positions.size() == 1) self->NoteCommit();
        return absl::OkStatus();
      },
      nullptr);
  self = &group;
  group.NoteCommit();
  group.WaitUntilDurable(1);
  EXPECT_THAT(positions, testing::ElementsAre(1));
  group.WaitUntilDurable(2);
  EXPECT_THAT(positions, testing::ElementsAre(1, 2));
}

TEST(GroupCommitTest, AFailureIsToldBeforeAnyoneReturns) {
  absl::Status told;
  GroupCommit group([] { return absl::UnavailableError("no disk"); },
                    [&](const absl::Status& status) { told = status; });
  group.NoteCommit();
  group.WaitUntilDurable(1);
  EXPECT_EQ(told.message(), "no disk");
}

TEST(GroupCommitTest, ManyThreadsNeverReturnBeforeTheirCommitIsSynced) {
  constexpr int kThreads = 8;
  constexpr int kCommits = 200;
  std::atomic<int64_t> synced = 0;
  std::atomic<int> early = 0;
  std::atomic<int> syncs = 0;
  GroupCommit* self = nullptr;
  GroupCommit group(
      [&] {
        ++syncs;
        const int64_t upto = self->position();
        std::this_thread::yield();
        synced = upto;
        return absl::OkStatus();
      },
      nullptr);
  self = &group;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < kCommits; ++k) {
        group.NoteCommit();
        const int64_t position = group.position();
        group.WaitUntilDurable(position);
        if (synced < position) ++early;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(early, 0);
  EXPECT_LE(syncs, kThreads * kCommits);
}

}  // namespace
}  // namespace distillery

// Group commit: transactions that several callers have committed become durable together, by one
// fdatasync of SQLite's write-ahead log, while nobody holds the lock that guards the database.
// (Gray and Reuter 1993, section 10.3.) A caller answers only after WaitUntilDurable.
//
// Threads: safe for all.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "common/base/mutex.h"

namespace distillery {

class GroupCommit {
 public:
  // `sync` makes all that was committed before it durable. `on_failure` is told where it fails, for
  // whatever reason; nothing that was waited for may be acknowledged then, nor is the log ever
  // synced again, so it ends the process (see DiskWatch).
  GroupCommit(std::function<absl::Status()> sync,
              std::function<void(const absl::Status&)> on_failure)
      : sync_(std::move(sync)), on_failure_(std::move(on_failure)) {}

  void NoteCommit() { ++committed_; }
  // Commits so far.
  int64_t position() const { return committed_; }
  // Returns once the first `position` commits are on disk, or could not be brought there.
  void WaitUntilDurable(int64_t position);

 private:
  const std::function<absl::Status()> sync_;
  const std::function<void(const absl::Status&)> on_failure_;
  std::atomic<int64_t> committed_ = 0;
  Mutex mutex_;
  ConditionVariable synced_;
  int64_t durable_ ABSL_GUARDED_BY(mutex_) = 0;
  bool syncing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace distillery

// What the coordinator knows now, and the durable record that it all comes from: runs, leases,
// workers, shares. The desks (run_desk.h, lease_desk.h, result_desk.h, ...) work on it.
//
// The books are public members, each guarded by one mutex, which is held for steps in memory and in
// the operating system's cache: nobody hashes, syncs, renames or lists files while he holds it. So
// a slow disk holds up those who wait for it, and not the leases of others. One exception: about
// every 1,000 pages of its log SQLite moves them into the record, and syncs both under the mutex.
//   absl::StatusOr<RunView> view = ledger.Write([&]() -> absl::StatusOr<RunView> {...});
//
// Functions of other units that need the mutex take the Ledger and say so:
//   absl::Status Pause(Ledger& ledger, ...) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "coordinator/coordinator_options.h"
#include "coordinator/disk_watch.h"
#include "coordinator/fair_share.h"
#include "coordinator/lease_book.h"
#include "coordinator/request_memory.h"
#include "coordinator/run_entry.h"
#include "coordinator/state/group_commit.h"
#include "coordinator/state/record.h"
#include "coordinator/state/state_folder.h"
#include "coordinator/statistics.h"
#include "coordinator/strike_book.h"
#include "coordinator/task_grant.h"
#include "coordinator/worker_book.h"

namespace distillery {

// A LeaseTask call that waits for a task.
struct LeaseWaiter {
  int64_t id = 0;
  std::string request_id;
  std::string worker_id;
  absl::Duration deadline;
  std::function<void(absl::StatusOr<LeaseAnswer>)> done;
};

// Threads: safe for all.
class Ledger {
 public:
  // Locks the state folder and opens the record, whose `contents` are still to be entered
  // (ledger_loader.h). FAILED_PRECONDITION if another process has the folder; DATA_LOSS names a
  // damaged row.
  static absl::StatusOr<std::unique_ptr<Ledger>> Open(const CoordinatorOptions& options,
                                                      Record::Contents* contents);

  Mutex& mutex() ABSL_LOCK_RETURNED(mutex_) { return mutex_; }
  // Runs `body` under the mutex, then Commit; returns what `body` did. For all that acknowledges:
  // what was recorded until then, by others too, is on disk when this returns. What only looks
  // takes a MutexLock.
  template <typename Body>
  std::invoke_result_t<const Body&> Write(const Body& body) ABSL_LOCKS_EXCLUDED(mutex_) {
    auto result = Locked<std::invoke_result_t<const Body&>>(body);
    Commit();
    return result;
  }
  // Waits, without the mutex, until what was recorded so far is on disk; then removes the files
  // that are no longer needed (NoteGarbage).
  void Commit() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Duration Now() const { return options.clock->SteadyNow(); }
  int64_t WallMillis() const { return absl::ToUnixMillis(options.clock->WallNow()); }
  // The lease's row if it ends now.
  LeaseRow EndedRow(LeaseRow row, LeaseOutcome outcome) const {
    row.outcome = outcome;
    row.ended_unix_millis = WallMillis();
    return row;
  }

  // NOT_FOUND.
  absl::StatusOr<RunEntry*> FindRun(const std::string& run_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Marks the run as changed and wakes the timer.
  void Changed(const RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Hands the run to the averager, to average a round or to rebuild weights.
  void QueueAveraging(RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The run may have files that nothing recorded needs any more: the next Commit looks for them.
  void NoteGarbage(const RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Looks again at those that could not be looked at.
  void RetryGarbage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { garbage_.merge(garbage_left_); }

  // Whether the file of these weights is kept.
  bool KeepsWeights(const RunEntry& run, int64_t file_round) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // From when on a worker that is alive was heard of.
  absl::Duration AliveSince() const { return Now() - options.lease_duration; }
  bool Alive(const WorkerEntry& worker) const { return worker.last_seen >= AliveSince(); }
  int64_t CountLiveWorkers() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return workers.CountHeardSince(AliveSince());
  }
  // Forgets workers that have been silent for longest, until there is room for `more`.
  // RESOURCE_EXHAUSTED if all that are left are alive.
  absl::Status ForgetWorkers(size_t more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CoordinatorOptions options;
  Statistics statistics;
  DiskWatch disk;
  const std::unique_ptr<StateFolder> folder;
  ConditionVariable wake_timer;
  ConditionVariable wake_averager;
  std::unique_ptr<Record> record ABSL_GUARDED_BY(mutex_);
  LeaseBook leases ABSL_GUARDED_BY(mutex_);
  // By run_id, and their order of submission.
  std::map<std::string, std::unique_ptr<RunEntry>> runs ABSL_GUARDED_BY(mutex_);
  std::vector<RunEntry*> run_order ABSL_GUARDED_BY(mutex_);
  WorkerBook workers ABSL_GUARDED_BY(mutex_);
  FairShare share ABSL_GUARDED_BY(mutex_);
  StrikeBook strikes ABSL_GUARDED_BY(mutex_);
  // The requests of counted results, so that a late retry is told "duplicate" and not "aborted".
  RequestMemory counted_requests ABSL_GUARDED_BY(mutex_);
  std::list<LeaseWaiter> waiters ABSL_GUARDED_BY(mutex_);
  int64_t last_wait_id ABSL_GUARDED_BY(mutex_) = 0;
  // When waiting workers were last offered what there was.
  absl::Duration offered ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  std::list<std::string> to_average ABSL_GUARDED_BY(mutex_);
  // Runs whose listeners are to be told.
  std::set<std::string> changed ABSL_GUARDED_BY(mutex_);
  // Files of results that are being given their name or removed: nobody else touches them.
  std::set<std::string> busy_files ABSL_GUARDED_BY(mutex_);
  // What runs were last shown to wait for.
  DiskWatch::Lack shown_lack ABSL_GUARDED_BY(mutex_) = DiskWatch::Lack::kNothing;
  int64_t seen_recoveries ABSL_GUARDED_BY(mutex_) = 0;
  bool woken ABSL_GUARDED_BY(mutex_) = false;
  bool closing ABSL_GUARDED_BY(mutex_) = false;

 private:
  Ledger(const CoordinatorOptions& options, std::unique_ptr<StateFolder> folder);
  template <typename Result>
  Result Locked(absl::FunctionRef<Result()> body) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return body();
  }
  // Removes what the run does not need.
  void RemoveGarbage(const std::string& run_id) ABSL_LOCKS_EXCLUDED(mutex_);
  // Those of the run's files that it does not need and that nobody is busy with.
  std::vector<std::string> Unneeded(const RunEntry& run, const StateFolder::RunFiles& files) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  GroupCommit group_commit_;
  Mutex mutex_;
  // Runs that may have files to remove; and those whose files could not be listed, which are looked
  // at again when the next run has some, or when what lacked is there again.
  std::set<std::string> garbage_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> garbage_left_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

// The lease of the task that a worker does: renewed until the task is over, and what the task must
// know of it.
//
// Threads: safe for all; one of its own renews. Stopped or lost, the task is cancelled: computing
// ends at the next step, calls at once.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "common/rpc/call_canceller.h"
#include "student_worker/rpc/coordinator_client.h"

namespace distillery {

class TaskLease {
 public:
  // Both must outlive it. Renews from here on.
  TaskLease(const WorkerTask& task, CoordinatorClient* coordinator);
  ~TaskLease() { End(); }
  TaskLease(const TaskLease&) = delete;
  TaskLease& operator=(const TaskLease&) = delete;

  // The task is over. No renewal is under way when this returns.
  void End();
  // The worker stops.
  void Stop();

  const WorkerTask& task() const { return task_; }
  // Set when the task is to end.
  const std::atomic<bool>& cancelled() const { return cancelled_; }
  // The coordinator has taken the lease back.
  bool lost() const { return lost_.load(); }
  // Ends the task's calls.
  CallCanceller* canceller() { return &canceller_; }

  // What the coordinator is told with the next renewal: samples trained so far, of which this
  // returns those told before, and what the task waits for ("": nothing).
  int64_t SetSamples(int64_t count) { return samples_.exchange(count); }
  void SetWaitingFor(const std::string& waiting_for);

  // Repeats `call` with back-off while it fails for a reason that passes; CANCELLED if the task is
  // cancelled meanwhile. `again` is false at the first call.
  absl::Status Persist(const std::function<absl::Status(bool again)>& call);

 private:
  void Run();
  void Cancel();

  const WorkerTask& task_;
  CoordinatorClient* const coordinator_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> lost_{false};
  std::atomic<int64_t> samples_{0};
  CallCanceller canceller_;
  Mutex mutex_;
  ConditionVariable changed_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::string waiting_for_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

// Whether it may pass by itself: the coordinator is away, or has no room.
bool Passing(const absl::Status& status);

}  // namespace distillery

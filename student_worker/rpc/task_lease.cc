#include "student_worker/rpc/task_lease.h"

#include <algorithm>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/logging.h"
#include "common/rpc/status_conversion.h"
#include "common/run/task_log_fields.h"

namespace distillery {

bool Passing(const absl::Status& status) {
  return NobodyAnswered(status) || absl::IsResourceExhausted(status);
}

TaskLease::TaskLease(const WorkerTask& task, CoordinatorClient* coordinator)
    : task_(task), coordinator_(coordinator), thread_([this] { Run(); }) {}

void TaskLease::End() {
  {
    MutexLock lock(mutex_);
    over_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void TaskLease::Stop() {
  MutexLock lock(mutex_);
  stopped_ = true;
  changed_.NotifyAll();
}

void TaskLease::SetWaitingFor(const std::string& waiting_for) {
  MutexLock lock(mutex_);
  waiting_for_ = waiting_for;
}

absl::Status TaskLease::Persist(const std::function<absl::Status(bool again)>& call) {
  Backoff backoff;
  for (bool again = false;; again = true) {
    absl::Status status = call(again);
    if (!Passing(status)) return status;
    LogDebug("{}; trying again", std::string(status.message()));
    MutexLock lock(mutex_);
    if (!stopped_ && !cancelled_.load()) changed_.WaitFor(mutex_, backoff.Next());
    if (stopped_ || cancelled_.load()) return absl::CancelledError("cancelled");
  }
}

void TaskLease::Run() {
  const LogFields about(TaskLogFields(task_.lease.task));
  absl::Duration wait = task_.lease_duration / 3;
  while (true) {
    std::string waiting_for;
    {
      MutexLock lock(mutex_);
      // A wall clock that steps back would stop the heartbeats.
      const absl::Duration until = SteadyNow() + wait;
      while (!over_ && !stopped_ && SteadyNow() < until) {
        changed_.WaitFor(mutex_, until - SteadyNow());
      }
      if (over_) return;
      if (stopped_) return Cancel();
      waiting_for = waiting_for_;
    }
    const absl::Status status = coordinator_->RenewLease(task_.lease, samples_.load(), waiting_for);
    if (absl::IsAborted(status) || absl::IsPermissionDenied(status) || absl::IsNotFound(status)) {
      LogWarning("{}: {}", task_.lease.task.ToString(), std::string(status.message()));
      lost_.store(true);
      return Cancel();
    }
    // Ask again soon while the coordinator is away.
    wait = status.ok() ? task_.lease_duration / 3
                       : std::min(absl::Seconds(1), task_.lease_duration / 6);
  }
}

void TaskLease::Cancel() {
  cancelled_.store(true);
  canceller_.CancelAll();
}

}  // namespace distillery

// Knows whether what the coordinator writes can be kept. A full disk is waited for; fsync that
// failed ends the process, since what was acknowledged may not be on disk and only a restart, which
// reads what is, can tell.
//
// Threads: safe for all.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "coordinator/statistics.h"

namespace distillery {

class DiskWatch {
 public:
  using FailureHandler = std::function<void(const absl::Status&)>;

  // Without a handler the process logs the failure and ends with exit code 1 at once: nothing more
  // may be acknowledged. `statistics` and `clock` must outlive this.
  DiskWatch(std::string folder, Clock* clock, Statistics* statistics, FailureHandler on_failure)
      : folder_(std::move(folder)),
        clock_(clock),
        statistics_(statistics),
        on_failure_(std::move(on_failure)) {}

  // Looks at the outcome of a write, and returns it.
  absl::Status Note(const absl::Status& status);
  // There was no room at the last write or probe.
  bool full() const;
  // While full: tries, at most every two seconds, whether there is room again.
  void Probe();

 private:
  absl::Status TryWrite() const;

  const std::string folder_;
  Clock* const clock_;
  Statistics* const statistics_;
  const FailureHandler on_failure_;
  mutable Mutex mutex_;
  bool full_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration next_probe_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

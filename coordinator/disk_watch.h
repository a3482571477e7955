// Knows whether what the coordinator writes can be kept, and whether it can open files. A full disk
// and descriptors that are used up are waited for; fsync that
// failed ends the process, since what was acknowledged may not be on disk and only a restart, which
// reads what is, can tell.
//
// Threads: safe for all.
#pragma once

#include <cstdint>
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

  // What there was none of at the last write or probe.
  enum class Lack { kNothing, kDescriptors, kRoom };

  // Looks at the outcome of opening or writing a file, and returns it.
  absl::Status Note(const absl::Status& status);
  Lack lack() const;
  bool full() const { return lack() == Lack::kRoom; }
  // How often what lacked has come back.
  int64_t recoveries() const;
  // While something lacks: tries, at most every two seconds, whether it still does.
  void Probe();

 private:
  absl::Status TryWrite() const;

  const std::string folder_;
  Clock* const clock_;
  Statistics* const statistics_;
  const FailureHandler on_failure_;
  mutable Mutex mutex_;
  Lack lack_ ABSL_GUARDED_BY(mutex_) = Lack::kNothing;
  int64_t recoveries_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration next_probe_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

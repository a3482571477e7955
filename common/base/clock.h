// Time, injected. Leases and time-outs use the steady clock; wall time only labels records for
// people.
#pragma once

#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace distillery {

class Clock {
 public:
  virtual ~Clock() = default;
  // Time since an arbitrary start; never goes back.
  virtual absl::Duration SteadyNow() = 0;
  virtual absl::Time WallNow() = 0;

  // The machine's clocks; lives for ever.
  static Clock* Real();
};

// The time of the machine's steady clock, which all waits and all measured times go by: the wall
// clock may step.
inline absl::Duration SteadyNow() { return Clock::Real()->SteadyNow(); }

// Stands still until told otherwise. Threads: safe for all.
class FakeClock : public Clock {
 public:
  absl::Duration SteadyNow() override {
    MutexLock lock(mutex_);
    return now_;
  }
  absl::Time WallNow() override { return absl::UnixEpoch() + SteadyNow(); }
  void Advance(absl::Duration by) {
    MutexLock lock(mutex_);
    now_ += by;
  }

 private:
  Mutex mutex_;
  absl::Duration now_ ABSL_GUARDED_BY(mutex_) = absl::Seconds(1000);
};

}  // namespace distillery

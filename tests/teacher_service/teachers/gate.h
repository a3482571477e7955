// Holds threads until it is opened: tests use it in place of sleeping.
#pragma once

#include "common/base/mutex.h"

namespace distillery {

// Threads: safe for all.
class Gate {
 public:
  // A thread that comes to the gate says so, and waits until it is open.
  void Pass() {
    MutexLock lock(mutex_);
    arrived_ = true;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(mutex_);
  }
  // Waits until a thread stands at the gate, or has passed.
  void AwaitArrival() {
    MutexLock lock(mutex_);
    while (!arrived_) changed_.Wait(mutex_);
  }
  void Open() {
    MutexLock lock(mutex_);
    open_ = true;
    changed_.NotifyAll();
  }

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  bool arrived_ ABSL_GUARDED_BY(mutex_) = false;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace distillery

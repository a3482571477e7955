// One place that turns SIGINT and SIGTERM into a flag, without work in a handler: a thread waits
// for the news. A second signal ends the process at once.
#pragma once

#include <atomic>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace distillery {

class StopSignal {
 public:
  // Takes the signals over and starts the waiting thread. Call once, early in main.
  static void Install();
  // True once SIGINT or SIGTERM has come, or Request was called.
  static bool Requested();
  // Waits for a stop, at most `timeout`. True if it has come.
  static bool WaitFor(absl::Duration timeout);
  static void Wait();
  // Asks for a stop from inside the process.
  static void Request();
  // The signal that came; 0 if none has.
  static int Signal();
  // The flag itself, for code that takes a cancellation flag.
  static const std::atomic<bool>& Flag();
};

}  // namespace distillery

// How many calls one connection, and all of them together, may have under way in this process.
//
// HTTP/2 limits the streams that are open, but a client that cancels each call at once has none
// open and makes a server begin as many as it can send ("rapid reset"): each waits in gRPC's queues
// with some 10 KiB. Here a call counts until the server is done with it, whatever its client says,
// and one too many is refused before it is queued.
//
// Some calls end in gRPC before anybody is told that they began: those whose first message is too
// large, or damaged. What has not begun a minute after it was let in counts no more.
//
// Threads: safe for all.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace distillery {

class CallQuota {
 public:
  struct Options {
    // More than the streams that a connection may have open: those that it has just cancelled count
    // until they are cleared away.
    int64_t per_connection = 2048;
    // In all, beyond which a connection has no more than `share`.
    int64_t total = 16'384;
    int64_t share = 64;
  };
  struct Statistics {
    int64_t live_count = 0;
    int64_t refused_count = 0;
  };

  explicit CallQuota(const Options& options, Clock* clock = Clock::Real())
      : options_(options), clock_(clock) {}

  // A call of the connection is let in. RESOURCE_EXHAUSTED: it is not.
  absl::Status Enter(const std::string& connection);
  // A call that was let in has begun; Leave must follow.
  void Begin(const std::string& connection);
  void Leave(const std::string& connection);
  Statistics statistics() const;

 private:
  struct Calls {
    int64_t begun = 0;
    // When those were let in that have not begun, the oldest first. The newest is the one that
    // begins next, so that one that never begins grows old.
    std::deque<absl::Duration> waiting;
    int64_t count() const { return begun + static_cast<int64_t>(waiting.size()); }
  };
  // Forgets what was let in long ago and has not begun.
  void Expire() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  Clock* const clock_;
  mutable Mutex mutex_;
  // By connection; without those that have no calls.
  std::map<std::string, Calls> calls_ ABSL_GUARDED_BY(mutex_);
  // On the steady clock.
  absl::Duration next_expiry_ ABSL_GUARDED_BY(mutex_);
  Statistics statistics_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

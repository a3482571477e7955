// How many calls one connection, and all of them together, may have under way in this process.
//
// HTTP/2 limits the streams that are open, but a client that cancels each call at once has none
// open and makes a server begin as many as it can send ("rapid reset"): each waits in gRPC's queues
// with some 10 KiB. Here a call counts until the server is done with it, whatever its client says,
// and one too many is refused before it is queued.
//
// Threads: safe for all.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
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

  explicit CallQuota(const Options& options) : options_(options) {}

  // A call of the connection begins. RESOURCE_EXHAUSTED: it does not; else Leave must follow.
  absl::Status Enter(const std::string& connection);
  void Leave(const std::string& connection);
  Statistics statistics() const;

 private:
  const Options options_;
  mutable Mutex mutex_;
  // Calls by connection; without those that have none.
  std::map<std::string, int64_t> calls_ ABSL_GUARDED_BY(mutex_);
  Statistics statistics_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

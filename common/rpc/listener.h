// Takes clients' connections and hands them on, while there is room.
//
// gRPC's own listeners are deaf for ever once accept has failed for want of a descriptor, and know
// no limit. This one leaves a reserve of descriptors to the rest of the process, and takes at most
// max_connections, of one address no more than its part: more are closed at once, since those who
// hold that part may never leave. Beyond max_connections a connection waits in the system's queue,
// until one has ended or until it has waited for `patience`; then it is closed, so that its client
// goes elsewhere.
//
// Threads: a thread of its own accepts; the handler is called there and must not block. One thread
// calls Start and Stop; statistics is safe for all.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/descriptor.h"
#include "common/base/mutex.h"
#include "common/rpc/listening_sockets.h"
#include "common/rpc/open_connections.h"

namespace distillery {

class Listener {
 public:
  struct Options {
    int64_t max_connections = 1024;
    // Those of one address, so that it leaves some to the others; 0: half of max_connections. A
    // Unix socket's have no address and no such limit.
    int64_t max_connections_per_address = 0;
    // Descriptors that are left for files and the like.
    int64_t reserved_descriptors = 16;
    // How long there may be no room before those that wait are closed.
    absl::Duration patience = absl::Seconds(1);
    Clock* clock = Clock::Real();
  };
  struct Statistics {
    int64_t open_count = 0;
    int64_t accepted_count = 0;
    // Closed for want of room, or because their address has enough.
    int64_t refused_count = 0;
  };
  // Owns the connection's descriptor from then on; the first is the listening socket's.
  using Handler = std::function<void(int listening, int connection)>;

  // Connections wait until Start. Errors as ListenOn.
  static absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address,
                                                          const Options& options);
  // Stop, if not done yet.
  ~Listener();

  // With the port taken.
  const std::string& address() const { return sockets_.address; }
  // REQUIRES: called once.
  void Start(Handler handler);
  // The handler is not called again; those that wait are refused by the system.
  void Stop();
  Statistics statistics() const;

 private:
  Listener(const Options& options, ListeningSockets sockets, Descriptor stop)
      : options_(options), sockets_(std::move(sockets)), stop_(std::move(stop)) {}
  void Run();
  // Blocks; the sockets that have a connection.
  std::vector<int> WaitForConnections();
  bool Stopping(absl::Duration wait) const;
  int64_t PerAddress() const;
  // Says that connections of this address are closed, once in a while.
  void WarnOfCrowd(const std::string& host);
  // Empty if there is room for one more, else what is lacking.
  std::string LacksRoom();
  // Hands a connection on, if one is still there. Empty, or what is lacking.
  std::string AcceptOne(int socket);
  // Closes some of those that wait; how many.
  int RefuseWaiting();

  const Options options_;
  ListeningSockets sockets_;
  // Readable from Stop on.
  const Descriptor stop_;
  Handler handler_;
  // Used by the thread alone: descriptors that may be taken until the free ones are counted again.
  int64_t free_descriptors_ = 0;
  absl::Duration free_until_;
  absl::Duration crowd_warned_ = -absl::InfiniteDuration();
  std::atomic<int64_t> accepted_{0};
  std::atomic<int64_t> refused_{0};
  mutable Mutex mutex_;
  mutable OpenConnections open_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace distillery

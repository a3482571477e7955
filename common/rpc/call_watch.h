// Watches every call of a server, whatever its method: one whose client neither reads the answer
// nor sends what it announced is ended after a while, and answers that lie unread may take only so
// many bytes for each client.
//
// gRPC takes an answer, and keeps it in memory for as long as the client gives it no room
// (HTTP/2's flow control). The client of a call that is refused answers, pings and acknowledges
// meanwhile, so that neither keepalive nor TCP sees anything wrong. Here an interceptor sees each
// batch of operations begin and end, of reflection, health checks and unknown methods as well.
//
// What it cannot see: calls of unary and server-streaming methods whose request has not come in
// whole. gRPC's core tells nobody of them; they take some 8 KiB each, and a connection may have
// 1,024 (see RpcServer).
//
// Threads: safe for all.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/rpc/stream_watch.h"

namespace distillery {

class CallWatch {
 public:
  struct Options {
    // Streams that watch themselves know more of what they wait for and end first: see kPatience.
    absl::Duration idle_limit = absl::Seconds(60);
    // Bytes of unary answers that one client has not read yet; beyond, it gets RESOURCE_EXHAUSTED.
    // All clients together may leave `unread_bytes` unread, beyond which each has a share.
    int64_t unread_bytes_per_client = 256 << 20;
    int64_t unread_bytes = 1 << 30;
    int64_t unread_bytes_share = 16 << 20;
    Clock* clock = Clock::Real();
  };
  explicit CallWatch(const Options& options);

  // For the server, which this must outlive.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeInterceptors();
  // Bytes of unary answers that clients have not read yet.
  int64_t unread_bytes() const;
  // Looks at once; for tests with another clock.
  void EndIdle() { streams_.EndIdle(); }

 private:
  class Call;
  class Factory;
  // False: the client has as much unread as it may.
  bool AddUnread(const std::string& client, int64_t bytes);
  void RemoveUnread(const std::string& client, int64_t bytes);

  const Options options_;
  mutable Mutex mutex_;
  // By client; without those that have none.
  std::map<std::string, int64_t> unread_ ABSL_GUARDED_BY(mutex_);
  int64_t unread_total_ ABSL_GUARDED_BY(mutex_) = 0;
  StreamWatch streams_;
};

}  // namespace distillery

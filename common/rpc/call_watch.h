// Watches every call of a server, whatever its method: one whose client neither reads the answer
// nor sends what it announced is ended after a while, and answers that lie unread may take only so
// many bytes for each client.
//
// gRPC takes an answer, and keeps it in memory for as long as the client gives it no room
// (HTTP/2's flow control). The client of a call that is refused answers, pings and acknowledges
// meanwhile, so that neither keepalive nor TCP sees anything wrong. Here an interceptor sees each
// batch of operations begin and end, of reflection, health checks and unknown methods as well.
//
// All answers of a connection share its link, and gRPC sends them in turns. So a slow client has
// the time limit for each MiB that its connection has not read, anew whenever one answer has gone
// out whole. One that wants to hold memory gains nothing by that: it could ask again as well, and
// what it may hold is limited by bytes.
//
// What it cannot see: calls of unary and server-streaming methods whose request has not come in
// whole. gRPC's core tells nobody of them; they take some 8 KiB each, and a connection may have
// 1,024 (see RpcServer).
//
// Threads: safe for all.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <algorithm>
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
    // For each MiB that the connection has not read. Streams that watch themselves know more of
    // what they wait for and end first: see kPatience.
    absl::Duration idle_limit = absl::Seconds(60);
    // Bytes of unary answers that one client has not read yet; beyond, it gets RESOURCE_EXHAUSTED,
    // but one answer of each connection is let through: who shares its address is not refused.
    int64_t unread_bytes_per_client = 256 << 20;
    // The same for all clients together. Beyond, each has `unread_bytes_share`, or its part of
    // `unread_bytes` if that is less, and one answer at least.
    int64_t unread_bytes = 1 << 30;
    int64_t unread_bytes_share = 16 << 20;
    Clock* clock = Clock::Real();

    // For one client; all together may have that at least.
    void AllowUnread(int64_t bytes_per_client) {
      unread_bytes_per_client = bytes_per_client;
      unread_bytes = std::max(unread_bytes, bytes_per_client);
    }
  };
  explicit CallWatch(const Options& options);

  // For the server, which this must outlive.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeInterceptors();
  // Bytes of unary answers that clients have not read yet.
  int64_t unread_bytes() const;
  // Messages, of streams as well, that have not gone out whole.
  int64_t unread_messages() const;
  // Looks at once; for tests with another clock.
  void EndIdle() { streams_.EndIdle(); }

 private:
  class Call;
  class Factory;
  // A message that has not gone out whole.
  struct Unread {
    // The peer's address with its port.
    std::string connection;
    // Whom the limits count the bytes of an answer for; "": nobody.
    std::string client;
    int64_t bytes = 0;
  };
  // What a connection has not read yet.
  struct Connection {
    int64_t messages = 0;
    // Of these, answers that limits count.
    int64_t answers = 0;
    int64_t bytes = 0;
    // When the last of its messages had gone out whole.
    absl::Duration progress = -absl::InfiniteDuration();
  };
  // False: its client has as much unread as it may.
  bool Add(const Unread& message);
  // `sent`: it has gone out whole.
  void Remove(const Unread& message, bool sent);
  // Whether limits allow for an answer.
  bool HasRoom(const Unread& answer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the connection has had the time for what it has not read, `message` included, which
  // has waited since `since`.
  bool Idle(const Unread& message, absl::Duration since, absl::Duration now,
            absl::Duration limit) const;

  const Options options_;
  mutable Mutex mutex_;
  // By client; without those that have none.
  std::map<std::string, int64_t> unread_ ABSL_GUARDED_BY(mutex_);
  int64_t unread_total_ ABSL_GUARDED_BY(mutex_) = 0;
  // Those that have something unread.
  std::map<std::string, Connection> connections_ ABSL_GUARDED_BY(mutex_);
  StreamWatch streams_;
};

}  // namespace distillery

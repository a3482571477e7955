// A way to one server: its address, a channel to it, and what is wrong when it does not answer.
//
// The channel is made anew when the TLS files have changed: calls in flight end on the old one.
// Threads: safe for all.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/rpc/transport.h"

namespace distillery {

class Connection {
 public:
  // Does not connect yet. Errors as CheckTransport and ReadTlsFiles. `tls_name` as MakeChannel.
  static absl::StatusOr<std::shared_ptr<Connection>> Open(const std::string& address,
                                                          const TransportOptions& options,
                                                          const std::string& tls_name = "");
  // The same with files that are watched already; null: plain text. REQUIRES: CheckTransport is OK.
  static std::shared_ptr<Connection> With(const std::string& address,
                                          std::shared_ptr<TlsFileWatch> files,
                                          const std::string& tls_name = "");
  // Over a channel that there is, as to a server in this process.
  static std::shared_ptr<Connection> Of(std::shared_ptr<grpc::Channel> channel);

  std::shared_ptr<grpc::Channel> channel();

  // To be asked when a call has failed. FAILED_PRECONDITION says what is wrong with TLS and what to
  // do about it; OK if TLS is not the reason, or nobody answers. Blocks for some seconds at most.
  absl::Status Diagnose();
  // `status`, or, where NobodyAnswered (status_conversion.h), what Diagnose finds.
  absl::Status Explain(const absl::Status& status);

 private:
  Connection(std::string address, std::string tls_name, std::shared_ptr<TlsFileWatch> watch)
      : address_(std::move(address)), tls_name_(std::move(tls_name)), watch_(std::move(watch)) {}

  // Empty: over a channel that there is.
  const std::string address_;
  const std::string tls_name_;
  // Null: plain text.
  const std::shared_ptr<TlsFileWatch> watch_;
  Mutex mutex_;
  std::shared_ptr<const TlsFiles> files_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

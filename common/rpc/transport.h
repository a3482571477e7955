// Addresses, credentials and channels.
//
// Loopback addresses (and unix sockets) may speak plain text. Any other address needs TLS with client
// certificates on both sides, or an explicit `insecure`.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace distillery {

struct TransportOptions {
  // PEM files; all three or none.
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_ca;
  bool insecure = false;
};

// "127.0.0.1:7", "localhost:7", "[::1]:7", "unix:/path".
bool IsLoopback(const std::string& address);

// INVALID_ARGUMENT for an address that needs TLS or --insecure, or for half-given TLS files;
// NOT_FOUND for a missing file.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& address, const TransportOptions& options);

// A channel with keepalive (peer gone for 40 s ends calls) and messages up to 4 MiB. Does not connect
// yet. Repeating calls is the caller's: gRPC would only repeat what its buffer holds. `tls_name`: the
// name that the server's certificate must show, if not the host of `address`. Errors as
// MakeServerCredentials.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const TransportOptions& options,
                                                           const std::string& tls_name = "");

// The largest message either side accepts.
inline constexpr int kMaxMessageBytes = 4 << 20;
// Payload bytes per message of a bulk stream.
inline constexpr int64_t kChunkBytes = 1 << 20;

}  // namespace distillery

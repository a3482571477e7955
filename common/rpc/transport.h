// Addresses, credentials and channels.
//
// Loopback addresses (and unix sockets) may speak plain text. Any other address needs TLS with
// client certificates on both sides, or an explicit `insecure`.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/server_credentials.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/call_quota.h"
#include "common/security/tls_files.h"

namespace distillery {

struct TransportOptions {
  // PEM files; all three or none.
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_ca;
  bool insecure = false;

  bool tls() const { return !tls_certificate.empty() || !tls_key.empty() || !tls_ca.empty(); }
};

// "127.0.0.1:7", "localhost:7", "[::1]:7", "unix:/path".
bool IsLoopback(const std::string& address);

// INVALID_ARGUMENT for a HOST without a port, or an IPv6 address without brackets. Other forms,
// such as unix:PATH or one of gRPC's own (dns:///NAME:PORT), are not checked here.
absl::Status CheckPort(const std::string& address);
// INVALID_ARGUMENT for an address without a port, for one that needs TLS or --insecure, and for
// half-given TLS files.
absl::Status CheckTransport(const std::string& address, const TransportOptions& options);
// The TLS files, watched; null without TLS. INVALID_ARGUMENT if they are half given; else errors as
// ReadTlsFiles.
absl::StatusOr<std::shared_ptr<TlsFileWatch>> WatchTlsFiles(const TransportOptions& options);

// Errors as the two above. `allowed_workers`: see --allowed-workers; empty: no list. `quota` counts
// the calls; with one the server needs MakeQuotaInterceptors, null: none are counted.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& address, const TransportOptions& options,
    const std::string& allowed_workers = "", std::shared_ptr<CallQuota> quota = nullptr);

// A channel with keepalive (peer gone for 40 s ends calls) and messages up to 4 MiB. Does not
// connect yet. Repeating calls is the caller's: gRPC would only repeat what its buffer holds.
// `files`: null for plain text. `tls_name`: the name that the server's certificate must show, if
// not the host of `address`.
std::shared_ptr<grpc::Channel> MakeChannelWith(const std::string& address, const TlsFiles* files,
                                               const std::string& tls_name = "");
// The same with the files as they are now; errors as CheckTransport and ReadTlsFiles. Programs open
// a Connection, which knows more.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const TransportOptions& options,
                                                           const std::string& tls_name = "");

// The largest message either side accepts.
inline constexpr int kMaxMessageBytes = 4 << 20;
// Payload bytes per message of a bulk stream.
inline constexpr int64_t kChunkBytes = 1 << 20;
// The same of an upload. Who receives many holds one message of each: 64 of them are a file of
// memory.
inline int64_t UploadChunkBytes(int64_t file_bytes) {
  return std::clamp<int64_t>(file_bytes / 64, 64 << 10, kChunkBytes);
}

}  // namespace distillery

#include "common/rpc/transport.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/rpc/core_server_credentials.h"
#include "common/rpc/initialise.h"

namespace distillery {
namespace {

// For the connection, the handshake of TLS and the first frame, three or four round trips on a
// machine that may be busy. gRPC's own 20 s would be the time that an address takes which swallows
// packets.
constexpr int kConnectTimeoutMs = 3'000;

}  // namespace

bool IsLoopback(const std::string& address) {
  // Digits and dots alone: "127.0.0.1.example.org" is a name, and may be anywhere.
  const size_t number_end = address.find_first_not_of("0123456789.");
  const bool ipv4 = number_end != std::string::npos && address[number_end] == ':';
  return (ipv4 && absl::StartsWith(address, "127.")) || absl::StartsWith(address, "localhost:") ||
         absl::StartsWith(address, "[::1]:") || absl::StartsWith(address, "unix:");
}

absl::Status CheckPort(const std::string& address) {
  if (address.empty() || absl::StartsWith(address, "unix:")) return absl::OkStatus();
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  const bool bare_ipv6 =
      address.find_first_not_of("0123456789abcdefABCDEF:.") == std::string::npos &&
      absl::StrContains(host, ":");
  if (bare_ipv6) {
    return absl::InvalidArgumentError(absl::StrCat(
        "address ", Printable(address), " is an IPv6 address without brackets: write [",
        Printable(address), "]:PORT, or [ADDRESS]:PORT if it ends in the port"));
  }
  constexpr int kLargestPort = 65535;
  int port = -1;
  if (colon != std::string::npos && absl::SimpleAtoi(address.substr(colon + 1), &port) &&
      port >= 0 && port <= kLargestPort) {
    return absl::OkStatus();
  }
  // "[::1]": the last colon is the address's own.
  const bool none = colon == std::string::npos || address.back() == ']';
  return absl::InvalidArgumentError(
      absl::StrCat("address ", Printable(address),
                   none ? " has no port" : " does not end in a port from 0 to 65535", ": write ",
                   Printable(none ? address : host), ":PORT"));
}

absl::Status CheckTransport(const std::string& address, const TransportOptions& options) {
  DISTILLERY_RETURN_IF_ERROR(CheckPort(address));
  if (options.tls()) {
    if (!options.tls_certificate.empty() && !options.tls_key.empty() && !options.tls_ca.empty()) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        "--tls-certificate, --tls-key and --tls-ca go together: both sides show a certificate");
  }
  if (options.insecure || IsLoopback(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("address ", address,
                   " is not loopback: give --tls-certificate, --tls-key and --tls-ca "
                   "(`distillery certificates create` makes them), or --insecure to speak plain "
                   "text on a network "
                   "that you trust"));
}

absl::StatusOr<std::shared_ptr<TlsFileWatch>> WatchTlsFiles(const TransportOptions& options) {
  if (!options.tls()) return nullptr;
  DISTILLERY_RETURN_IF_ERROR(CheckTransport("", options));
  return TlsFileWatch::Open({options.tls_certificate, options.tls_key, options.tls_ca});
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& address, const TransportOptions& options, const std::string& allowed_workers,
    std::shared_ptr<CallQuota> quota) {
  RequireRpc();
  DISTILLERY_RETURN_IF_ERROR(CheckTransport(address, options));
  if (!options.tls()) {
    if (allowed_workers.empty()) {
      return MakeCoreServerCredentials(nullptr, nullptr, std::move(quota));
    }
    return absl::InvalidArgumentError(
        "--allowed-workers goes by the names in certificates: give --tls-certificate, --tls-key "
        "and "
        "--tls-ca");
  }
  DISTILLERY_ASSIGN_OR_RETURN(auto files, WatchTlsFiles(options));
  std::shared_ptr<WorkerList> workers;
  if (!allowed_workers.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(workers, WorkerList::Open(allowed_workers));
  }
  return MakeCoreServerCredentials(
      std::move(files), std::make_shared<ServerAccess>(std::move(workers)), std::move(quota));
}

std::shared_ptr<grpc::Channel> MakeChannelWith(const std::string& address, const TlsFiles* files,
                                               const std::string& tls_name) {
  RequireRpc();
  const std::shared_ptr<grpc::ChannelCredentials> credentials =
      files == nullptr ? grpc::InsecureChannelCredentials()
                       : grpc::SslCredentials({files->ca, files->key, files->certificate});
  grpc::ChannelArguments arguments;
  if (!tls_name.empty()) arguments.SetSslTargetNameOverride(tls_name);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetUserAgentPrefix(absl::StrCat("distillery/", DISTILLERY_VERSION));
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const TransportOptions& options,
                                                           const std::string& tls_name) {
  DISTILLERY_RETURN_IF_ERROR(CheckTransport(address, options));
  DISTILLERY_ASSIGN_OR_RETURN(const auto files, WatchTlsFiles(options));
  return MakeChannelWith(address, files == nullptr ? nullptr : files->Get().get(), tls_name);
}

}  // namespace distillery

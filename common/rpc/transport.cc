#include "common/rpc/transport.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr int64_t kMaxPemBytes = 1 << 20;

struct TlsFiles {
  std::string certificate;
  std::string key;
  std::string ca;
};

bool WantsTls(const TransportOptions& options) {
  return !options.tls_certificate.empty() || !options.tls_key.empty() || !options.tls_ca.empty();
}

absl::Status CheckAddress(const std::string& address, const TransportOptions& options) {
  if (WantsTls(options) || options.insecure || IsLoopback(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "address ", address, " is not loopback: give --tls-certificate, --tls-key and --tls-ca, or "
      "--insecure to speak plain text on a network that you trust"));
}

absl::StatusOr<TlsFiles> ReadTlsFiles(const TransportOptions& options) {
  if (options.tls_certificate.empty() || options.tls_key.empty() || options.tls_ca.empty()) {
    return absl::InvalidArgumentError(
        "--tls-certificate, --tls-key and --tls-ca go together: both sides show a certificate");
  }
  TlsFiles files;
  DISTILLERY_ASSIGN_OR_RETURN(files.certificate, ReadFile(options.tls_certificate, kMaxPemBytes));
  DISTILLERY_ASSIGN_OR_RETURN(files.key, ReadFile(options.tls_key, kMaxPemBytes));
  DISTILLERY_ASSIGN_OR_RETURN(files.ca, ReadFile(options.tls_ca, kMaxPemBytes));
  return files;
}

}  // namespace

bool IsLoopback(const std::string& address) {
  // Digits and dots alone: "127.0.0.1.example.org" is a name, and may be anywhere.
  const size_t number_end = address.find_first_not_of("0123456789.");
  const bool ipv4 = number_end != std::string::npos && address[number_end] == ':';
  return (ipv4 && absl::StartsWith(address, "127.")) || absl::StartsWith(address, "localhost:") ||
         absl::StartsWith(address, "[::1]:") || absl::StartsWith(address, "unix:");
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& address, const TransportOptions& options) {
  DISTILLERY_RETURN_IF_ERROR(CheckAddress(address, options));
  if (!WantsTls(options)) return grpc::InsecureServerCredentials();
  DISTILLERY_ASSIGN_OR_RETURN(const TlsFiles files, ReadTlsFiles(options));
  grpc::SslServerCredentialsOptions tls(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = files.ca;
  tls.pem_key_cert_pairs.push_back({files.key, files.certificate});
  return grpc::SslServerCredentials(tls);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const TransportOptions& options,
                                                           const std::string& tls_name) {
  DISTILLERY_RETURN_IF_ERROR(CheckAddress(address, options));
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (WantsTls(options)) {
    DISTILLERY_ASSIGN_OR_RETURN(const TlsFiles files, ReadTlsFiles(options));
    credentials = grpc::SslCredentials({files.ca, files.key, files.certificate});
  }
  grpc::ChannelArguments arguments;
  if (!tls_name.empty()) arguments.SetSslTargetNameOverride(tls_name);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetUserAgentPrefix(absl::StrCat("distillery/", DISTILLERY_VERSION));
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

}  // namespace distillery

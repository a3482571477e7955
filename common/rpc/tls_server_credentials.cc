#include "common/rpc/tls_server_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpcpp/version_info.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace distillery {
namespace {

// gRPC's own FileWatcherCertificateProvider takes a key and a certificate that do not go together,
// and then lets nobody in. Its C API asks a callback at each handshake instead, and keeps what it
// has when it is given nothing new.
class CertificateSource {
 public:
  explicit CertificateSource(std::shared_ptr<TlsFileWatch> files) : files_(std::move(files)) {}

  // gRPC calls it under a lock of the credentials.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<CertificateSource*>(self)->Next(config);
  }

 private:
  grpc_ssl_certificate_config_reload_status Next(grpc_ssl_server_certificate_config** config) {
    const std::shared_ptr<const TlsFiles> files = files_->Get();
    if (files == given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {files->key.c_str(), files->certificate.c_str()};
    *config = grpc_ssl_server_certificate_config_create(files->ca.c_str(), &pair, 1);
    given_ = files;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const std::shared_ptr<TlsFileWatch> files_;
  std::shared_ptr<const TlsFiles> given_;
};

std::string TextOf(const grpc_slice& slice) {
  return std::string(reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)),
                     GRPC_SLICE_LENGTH(slice));
}

std::vector<std::string> Properties(const grpc_auth_context* context, const char* name) {
  std::vector<std::string> values;
  grpc_auth_property_iterator at = grpc_auth_context_find_properties_by_name(context, name);
  while (const grpc_auth_property* const property = grpc_auth_property_iterator_next(&at)) {
    values.emplace_back(property->value, property->value_length);
  }
  return values;
}

// What the credentials of gRPC's core need as long as they live, which is longer than those of C++.
struct State {
  CertificateSource source;
  std::shared_ptr<ServerAccess> access;
};

void CheckCall(void* state, grpc_auth_context* context, const grpc_metadata* metadata, size_t count,
               grpc_process_auth_metadata_done_cb done, void* user_data) {
  std::string rpc;
  for (size_t i = 0; i < count; ++i) {
    if (TextOf(metadata[i].key) == ":path") rpc = TextOf(metadata[i].value);
  }
  const std::vector<std::string> names = Properties(context, GRPC_X509_CN_PROPERTY_NAME);
  const absl::Status status = static_cast<State*>(state)->access->Check(
      Properties(context, GRPC_PEER_URI_PROPERTY_NAME), names.empty() ? "?" : names.front(), rpc);
  done(user_data, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(status.code()),
       std::string(status.message()).c_str());
}

void DeleteState(void* state) { delete static_cast<State*>(state); }

grpc_server_credentials* MakeCredentials(std::shared_ptr<TlsFileWatch> files,
                                         std::shared_ptr<ServerAccess> access) {
  auto* const state = new State{CertificateSource(std::move(files)), std::move(access)};
  grpc_server_credentials* const credentials = grpc_ssl_server_credentials_create_with_options(
      grpc_ssl_server_credentials_create_options_using_config_fetcher(
          GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, &CertificateSource::Fetch,
          &state->source));
  grpc_auth_metadata_processor processor;
  processor.process = &CheckCall;
  processor.destroy = &DeleteState;
  processor.state = state;
  grpc_server_credentials_set_auth_metadata_processor(credentials, processor);
  return credentials;
}

// The C++ API has no way to this callback.
class TlsServerCredentials final : public grpc::ServerCredentials {
 public:
#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR < 54
  TlsServerCredentials(std::shared_ptr<TlsFileWatch> files, std::shared_ptr<ServerAccess> access)
      : credentials_(MakeCredentials(std::move(files), std::move(access))) {}
  ~TlsServerCredentials() override { grpc_server_credentials_release(credentials_); }
  // ServerAccess does that.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* const credentials_;
#else
  // The base holds those of the core, and adds ports with them.
  TlsServerCredentials(std::shared_ptr<TlsFileWatch> files, std::shared_ptr<ServerAccess> access)
      : grpc::ServerCredentials(MakeCredentials(std::move(files), std::move(access))) {}
#endif
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeTlsServerCredentials(
    std::shared_ptr<TlsFileWatch> files, std::shared_ptr<ServerAccess> access) {
  return std::make_shared<TlsServerCredentials>(std::move(files), std::move(access));
}

}  // namespace distillery

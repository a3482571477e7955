#include "common/rpc/core_server_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpcpp/server_context.h>
#include <grpcpp/version_info.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"

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
  // Both null without TLS.
  std::unique_ptr<CertificateSource> source;
  std::shared_ptr<ServerAccess> access;
  // Null: calls are not counted.
  std::shared_ptr<CallQuota> quota;
};

// The connection's number, in the authentication context that all its calls share.
constexpr char kConnectionProperty[] = "distillery_connection";

// No handler sees a call before.
std::string ConnectionOf(grpc_auth_context* context) {
  // Two calls of one connection must not both give it a number.
  static Mutex* const mutex = new Mutex;
  MutexLock lock(*mutex);
  std::vector<std::string> known = Properties(context, kConnectionProperty);
  if (!known.empty()) return std::move(known.front());
  static std::atomic<int64_t> last{0};
  std::string name = absl::StrCat(++last);
  grpc_auth_context_add_cstring_property(context, kConnectionProperty, name.c_str());
  return name;
}

absl::Status CheckCaller(ServerAccess& access, const grpc_auth_context* context,
                         const grpc_metadata* metadata, size_t count) {
  std::string rpc;
  for (size_t i = 0; i < count; ++i) {
    if (TextOf(metadata[i].key) == ":path") rpc = TextOf(metadata[i].value);
  }
  const std::vector<std::string> names = Properties(context, GRPC_X509_CN_PROPERTY_NAME);
  return access.Check(Properties(context, GRPC_PEER_URI_PROPERTY_NAME),
                      names.empty() ? "?" : names.front(), rpc);
}

// In the thread that reads from the connection.
void CheckCall(void* opaque, grpc_auth_context* context, const grpc_metadata* metadata,
               size_t count, grpc_process_auth_metadata_done_cb done, void* user_data) {
  const State& state = *static_cast<State*>(opaque);
  absl::Status status;
  if (state.access != nullptr) status = CheckCaller(*state.access, context, metadata, count);
  if (status.ok() && state.quota != nullptr) status = state.quota->Enter(ConnectionOf(context));
  done(user_data, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(status.code()),
       std::string(status.message()).c_str());
}

void DeleteState(void* state) { delete static_cast<State*>(state); }

grpc_server_credentials* MakeCredentials(std::shared_ptr<TlsFileWatch> files,
                                         std::shared_ptr<ServerAccess> access,
                                         std::shared_ptr<CallQuota> quota) {
  auto* const state = new State{nullptr, std::move(access), std::move(quota)};
  grpc_server_credentials* credentials = nullptr;
  if (files == nullptr) {
    credentials = grpc_insecure_server_credentials_create();
  } else {
    state->source = std::make_unique<CertificateSource>(std::move(files));
    credentials = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, &CertificateSource::Fetch,
            state->source.get()));
  }
  grpc_auth_metadata_processor processor;
  processor.process = &CheckCall;
  processor.destroy = &DeleteState;
  processor.state = state;
  grpc_server_credentials_set_auth_metadata_processor(credentials, processor);
  return credentials;
}

// The C++ API has no way to this callback.
class CoreServerCredentials final : public grpc::ServerCredentials {
 public:
#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR < 54
  explicit CoreServerCredentials(grpc_server_credentials* credentials)
      : credentials_(credentials) {}
  ~CoreServerCredentials() override { grpc_server_credentials_release(credentials_); }
  // CheckCall is it.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* const credentials_;
#else
  // The base holds those of the core, and adds ports with them.
  explicit CoreServerCredentials(grpc_server_credentials* credentials)
      : grpc::ServerCredentials(credentials) {}
#endif
};

// Lives as long as the call.
class CallEnd : public grpc::experimental::Interceptor {
 public:
  CallEnd(std::shared_ptr<CallQuota> quota, std::string connection)
      : quota_(std::move(quota)), connection_(std::move(connection)) {
    quota_->Begin(connection_);
  }
  ~CallEnd() override { quota_->Leave(connection_); }
  CallEnd(const CallEnd&) = delete;
  CallEnd& operator=(const CallEnd&) = delete;
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    methods->Proceed();
  }

 private:
  const std::shared_ptr<CallQuota> quota_;
  const std::string connection_;
};

class CallEndFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallEndFactory(std::shared_ptr<CallQuota> quota) : quota_(std::move(quota)) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    const auto context = info->server_context()->auth_context();
    if (context == nullptr) return nullptr;
    // Calls within the process have none.
    const std::vector<grpc::string_ref> names = context->FindPropertyValues(kConnectionProperty);
    if (names.empty()) return nullptr;
    return new CallEnd(quota_, std::string(names.front().data(), names.front().size()));
  }

 private:
  const std::shared_ptr<CallQuota> quota_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeCoreServerCredentials(
    std::shared_ptr<TlsFileWatch> files, std::shared_ptr<ServerAccess> access,
    std::shared_ptr<CallQuota> quota) {
  return std::make_shared<CoreServerCredentials>(
      MakeCredentials(std::move(files), std::move(access), std::move(quota)));
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeQuotaInterceptors(
    std::shared_ptr<CallQuota> quota) {
  return std::make_unique<CallEndFactory>(std::move(quota));
}

}  // namespace distillery

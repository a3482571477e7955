#include "common/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/rpc/unparsable_request.h"

namespace distillery {

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    const Options& options, const std::vector<grpc::Service*>& services) {
  static const bool plugins = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)plugins;
  grpc::ServerBuilder builder;
  int port = 0;
  if (!options.address.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(auto credentials,
                                MakeServerCredentials(options.address, options.transport));
    builder.AddListeningPort(options.address, credentials, &port);
  }
  for (grpc::Service* const service : services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  // Without this, two servers on one port would share its connections in silence.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<UnparsableRequestInterceptor::Factory>());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const bool unix_socket = absl::StartsWith(options.address, "unix:");
  if (server == nullptr || (!options.address.empty() && !unix_socket && port == 0)) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", options.address,
        ": the port is taken or the address is not this machine's; choose another with --listen"));
  }
  std::string address = options.address;
  if (port != 0) address = address.substr(0, address.rfind(':') + 1) + std::to_string(port);
  std::unique_ptr<RpcServer> result(new RpcServer(std::move(server), address));
  result->SetServing(false);
  if (!options.address_file.empty()) {
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(options.address_file, address + "\n"));
  }
  return result;
}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

std::shared_ptr<grpc::Channel> RpcServer::InProcessChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return server_->InProcessChannel(arguments);
}

void RpcServer::SetServing(bool serving) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

void RpcServer::SetServing(const std::string& name, bool serving) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->SetServingStatus(name, serving);
}

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->Shutdown();
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
  server_.reset();
}

}  // namespace distillery

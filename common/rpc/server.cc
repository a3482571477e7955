#include "common/rpc/server.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/rpc/core_server_credentials.h"
#include "common/rpc/unparsable_request.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace distillery {

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const Options& options,
                                                            const std::vector<Service>& services) {
  static const bool health = [] {
    grpc::EnableDefaultHealthCheckService(true);
    return true;
  }();
  (void)health;
  grpc::ServerBuilder builder;
  const auto quota = std::make_shared<CallQuota>(CallQuota::Options());
  std::unique_ptr<Listener> listener;
  std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
  if (!options.address.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(
        auto credentials,
        MakeServerCredentials(options.address, options.transport, options.allowed_workers, quota));
    Listener::Options listening;
    listening.max_connections = options.max_connections;
    listening.max_connections_per_address = options.max_connections_per_address;
    DISTILLERY_ASSIGN_OR_RETURN(listener, Listener::Listen(options.address, listening));
    acceptor = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
  }
  std::vector<std::string> names;
  for (const Service& service : services) {
    names.push_back(service.name);
    builder.RegisterService(service.service);
  }
  std::vector<NamedService> reflection = MakeReflectionServices(names);
  for (const auto& [name, service] : reflection) {
    names.push_back(name);
    builder.RegisterService(service.get());
  }
  names.push_back(grpc::health::v1::Health::service_full_name());
  auto unknown = std::make_unique<UnknownMethodService>(names);
  builder.RegisterCallbackGenericService(unknown.get());
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  // Calls that one client may have in flight: each takes some 8 KiB, refused or not. More wait at
  // the client.
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1024);
  // Who connects and says nothing takes up one of the places, and so does who is served no more: a
  // client that has another call connects again.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 60'000);
  if (options.stream_window_bytes > 0) {
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, options.stream_window_bytes);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, options.stream_window_bytes);
  }
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<UnparsableRequestInterceptor::Factory>());
  interceptors.push_back(MakeQuotaInterceptors(quota));
  auto call_watch = std::make_unique<CallWatch>(options.calls);
  interceptors.push_back(call_watch->MakeInterceptors());
  // Last: gRPC asks them in this order before it sends, so this one sees the status that the others
  // have put in place of the method's, as the client does.
  if (options.request_statistics != nullptr) {
    interceptors.push_back(options.request_statistics->MakeInterceptors());
  }
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return absl::UnavailableError("gRPC could not start a server");
  std::unique_ptr<RpcServer> result(new RpcServer(std::move(reflection), std::move(unknown), quota,
                                                  std::move(call_watch), std::move(server),
                                                  std::move(listener)));
  for (const std::string& name : names) result->SetServing(name, false);
  result->SetServing(false);
  if (acceptor != nullptr) {
    result->listener_->Start([acceptor](int listening, int connection) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
      parameters.listener_fd = listening;
      parameters.fd = connection;
      acceptor->HandleNewConnection(&parameters);
    });
  }
  if (!options.address_file.empty()) {
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(options.address_file, result->address() + "\n"));
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

Listener::Statistics RpcServer::connections() const {
  return listener_ == nullptr ? Listener::Statistics() : listener_->statistics();
}

CallQuota::Statistics RpcServer::calls() const { return quota_->statistics(); }

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->Shutdown();
  // First: gRPC would not close what it is given from here on.
  if (listener_ != nullptr) listener_->Stop();
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
  server_.reset();
}

}  // namespace distillery

// A running gRPC server: services, health (grpc.health.v1), reflection, limits, clean shutdown.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/transport.h"

namespace distillery {

class RpcServer {
 public:
  struct Options {
    // "host:port"; port 0 takes a free one. Empty: in-process channels alone.
    std::string address = "127.0.0.1:0";
    TransportOptions transport;
    // If set, the address with the port taken is written here once the server listens.
    std::string address_file;
  };

  // UNAVAILABLE if the address is taken or not ours; else as MakeServerCredentials. The services
  // must outlive the server. Health starts as NOT_SERVING.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      const Options& options, const std::vector<grpc::Service*>& services);
  // Shutdown with no grace, if not done yet.
  ~RpcServer();

  // "host:port" with the port taken.
  const std::string& address() const { return address_; }
  std::shared_ptr<grpc::Channel> InProcessChannel();
  // Health of the whole server, and of one name, such as a model's.
  void SetServing(bool serving);
  void SetServing(const std::string& name, bool serving);
  // Stops listening, lets calls in flight end within `grace`, then cancels them. Blocks.
  void Shutdown(absl::Duration grace);

 private:
  RpcServer(std::unique_ptr<grpc::Server> server, std::string address)
      : server_(std::move(server)), address_(std::move(address)) {}
  std::unique_ptr<grpc::Server> server_;
  const std::string address_;
};

}  // namespace distillery

// A running gRPC server: services, health (grpc.health.v1), reflection, limits, clean shutdown.
//
// Threads: safe for all, but Shutdown, which is for one thread that is not gRPC's.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/memory_trimmer.h"
#include "common/rpc/call_quota.h"
#include "common/rpc/call_watch.h"
#include "common/rpc/listener.h"
#include "common/rpc/reflection_service.h"
#include "common/rpc/request_statistics.h"
#include "common/rpc/transport.h"
#include "common/rpc/unknown_method.h"

namespace distillery {

class RpcServer {
 public:
  struct Options {
    // "host:port"; port 0 takes a free one. Empty: in-process channels alone.
    std::string address = "127.0.0.1:0";
    TransportOptions transport;
    // File of the workers that may join, see WorkerList; empty: all that have a certificate.
    std::string allowed_workers;
    // Beyond, new ones wait for a second, then are closed.
    int64_t max_connections = 1024;
    // The same for one address; beyond, its new ones are closed. 0: half of max_connections.
    int64_t max_connections_per_address = 0;
    // What a peer may send of a stream before it is read; 0: as much as gRPC finds to be on its way
    // at once, which over loopback are megabytes of each stream.
    int stream_window_bytes = 0;
    // If set, the address with the port taken is written here once the server listens.
    std::string address_file;
    // When calls whose clients do nothing end, and what unread answers may take.
    CallWatch::Options calls;
    // If set, counts this server's calls; must outlive it.
    RequestStatistics* request_statistics = nullptr;
  };

  struct Service {
    // "package.Service", as in the generated service_full_name(): its name in health checks.
    std::string name;
    // Must outlive the server.
    grpc::Service* service = nullptr;
  };

  // Errors as ListenOn and MakeServerCredentials. The health of the server and of each service
  // starts as NOT_SERVING. A call of a method that does not exist is UNIMPLEMENTED, and the message
  // names what there is.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const Options& options,
                                                          const std::vector<Service>& services);
  // Shutdown with no grace, if not done yet.
  ~RpcServer();

  // "host:port" with the port taken.
  const std::string& address() const { return address_; }
  std::shared_ptr<grpc::Channel> InProcessChannel();
  // All 0 without an address.
  Listener::Statistics connections() const;
  // Those that came over a connection.
  CallQuota::Statistics calls() const;
  CallWatch& call_watch() { return *call_watch_; }
  // Sets the health of the whole server and of all names; or that of one name, such as a model's.
  void SetServing(bool serving);
  void SetServing(const std::string& name, bool serving);
  // Stops listening, lets calls in flight end within `grace`, then cancels them. Blocks.
  void Shutdown(absl::Duration grace);

 private:
  RpcServer(std::vector<NamedService> reflection, std::unique_ptr<UnknownMethodService> unknown,
            std::shared_ptr<CallQuota> quota, std::unique_ptr<CallWatch> call_watch,
            std::unique_ptr<grpc::Server> server, std::unique_ptr<Listener> listener)
      : reflection_(std::move(reflection)),
        unknown_(std::move(unknown)),
        quota_(std::move(quota)),
        call_watch_(std::move(call_watch)),
        server_(std::move(server)),
        listener_(std::move(listener)),
        address_(listener_ == nullptr ? "" : listener_->address()) {}
  // Services that every server has. They must outlive server_.
  const std::vector<NamedService> reflection_;
  const std::unique_ptr<UnknownMethodService> unknown_;
  const std::shared_ptr<CallQuota> quota_;
  const std::unique_ptr<CallWatch> call_watch_;
  std::unique_ptr<grpc::Server> server_;
  // Null: in-process channels alone.
  const std::unique_ptr<Listener> listener_;
  const std::string address_;
  // Floods end, and what they took is given back.
  MemoryTrimmer trimmer_;
};

}  // namespace distillery

// What a stream out of the coordinator needs.
#pragma once

#include <grpcpp/server_context.h>

#include "common/rpc/client_limits.h"
#include "common/rpc/stream_watch.h"
#include "coordinator/coordinator.h"

namespace distillery {

// All must outlive the stream, the call as long as gRPC keeps it.
struct StreamContext {
  Coordinator* coordinator = nullptr;
  grpc::CallbackServerContext* call = nullptr;
  // How many of its kind a client may have.
  ClientLimits* limits = nullptr;
  StreamWatch* watch = nullptr;
};

}  // namespace distillery

// The streams out of the coordinator's gRPC skin. Each function returns a reactor that deletes
// itself.
#pragma once

#include "common/base/task_pool.h"
#include "common/rpc/client_limits.h"
#include "coordinator/coordinator.h"
#include "coordinator/rpc/stream_watch.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {

// What a stream needs; all must outlive it, the call as long as gRPC keeps it.
struct StreamContext {
  Coordinator* coordinator = nullptr;
  grpc::CallbackServerContext* call = nullptr;
  // How many of its kind a client may have.
  ClientLimits* limits = nullptr;
  StreamWatch* watch = nullptr;
};

grpc::ServerWriteReactor<v1::WatchRunResponse>* StartWatch(const StreamContext& context,
                                                           const std::string& run_id);
// `request` is a DownloadWeightsRequest, and what is written are DownloadWeightsResponses, as
// bytes. The file is read on `pool`.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartDownload(const StreamContext& context,
                                                          const grpc::ByteBuffer& request,
                                                          TaskPool* pool);

}  // namespace distillery

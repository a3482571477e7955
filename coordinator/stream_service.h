// The streams out of the coordinator's gRPC skin. Each function returns a reactor that deletes itself.
#pragma once

#include "common/base/task_pool.h"
#include "coordinator/coordinator.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {

grpc::ServerWriteReactor<v1::WatchRunResponse>* StartWatch(Coordinator* coordinator,
                                                           const std::string& run_id);
// `request` is a DownloadWeightsRequest, and what is written are DownloadWeightsResponses, as bytes. The
// file is read on `pool`.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartDownload(Coordinator* coordinator,
                                                          const grpc::ByteBuffer& request,
                                                          TaskPool* pool);

}  // namespace distillery

// The streams of the coordinator's gRPC skin. Each function returns a reactor that deletes itself.
#pragma once

#include "common/base/task_pool.h"
#include "coordinator/coordinator.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {

grpc::ServerWriteReactor<v1::WatchRunResponse>* StartWatch(Coordinator* coordinator,
                                                           const std::string& run_id);
// Files are read and written on `pool`.
grpc::ServerWriteReactor<v1::DownloadWeightsResponse>* StartDownload(
    Coordinator* coordinator, const v1::DownloadWeightsRequest& request, TaskPool* pool);
grpc::ServerReadReactor<v1::UploadDeltaRequest>* StartUpload(Coordinator* coordinator,
                                                             v1::UploadDeltaResponse* response,
                                                             TaskPool* pool);

}  // namespace distillery

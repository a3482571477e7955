// The uploads of the coordinator's gRPC skin. Each function returns a reactor that deletes itself.
#pragma once

#include <string>

#include "common/base/task_pool.h"
#include "coordinator/coordinator.h"
#include "coordinator/parked_uploads.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {

// What an upload needs; all must outlive it. Files are written on `pool`.
struct UploadContext {
  Coordinator* coordinator = nullptr;
  ParkedUploads* parked = nullptr;
  TaskPool* pool = nullptr;
  // Name in the caller's certificate; "" without one.
  std::string certificate;
};

// Messages as bytes: UploadDeltaRequests and an UploadDeltaResponse, UploadWeightsRequests and an
// UploadWeightsResponse.
grpc::ServerReadReactor<grpc::ByteBuffer>* StartDeltaUpload(const UploadContext& context,
                                                            grpc::ByteBuffer* response);
grpc::ServerReadReactor<grpc::ByteBuffer>* StartWeightsUpload(const UploadContext& context,
                                                              grpc::ByteBuffer* response);

}  // namespace distillery

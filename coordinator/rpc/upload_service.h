// The uploads of the coordinator's gRPC skin. Each function returns a reactor that deletes itself.
//
//   reading <--more is to come-- handling --the trailer is taken, or refused--> over
//      |  \--a message has come--^  |
//      |                            +--the client went away: what came is parked--> over
//      +--the client sends nothing, or nobody wants it any more--> stopping --its read ends--> over
#pragma once

#include <string>

#include "common/base/task_pool.h"
#include "common/rpc/client_limits.h"
#include "common/rpc/stream_watch.h"
#include "coordinator/coordinator.h"
#include "coordinator/upload/parked_uploads.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {

// What an upload needs; all must outlive it. Files are written on `pool`.
struct UploadContext {
  Coordinator* coordinator = nullptr;
  ParkedUploads* parked = nullptr;
  TaskPool* pool = nullptr;
  StreamWatch* watch = nullptr;
  // Uploads of one lease, and of one client's weights to start from.
  ClientLimits* lease_limits = nullptr;
  ClientLimits* client_limits = nullptr;
  grpc::CallbackServerContext* call = nullptr;
};

// Messages as bytes: UploadDeltaRequests and an UploadDeltaResponse, UploadWeightsRequests and an
// UploadWeightsResponse.
grpc::ServerReadReactor<grpc::ByteBuffer>* StartDeltaUpload(const UploadContext& context,
                                                            grpc::ByteBuffer* response);
grpc::ServerReadReactor<grpc::ByteBuffer>* StartWeightsUpload(const UploadContext& context,
                                                              grpc::ByteBuffer* response);

}  // namespace distillery

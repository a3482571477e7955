// DownloadWeights: the bytes of a file of weights.
//
//   sending --the trailer is made--> closing --it is sent--> over
//      |                                |
//      +--the client went away or reads nothing, or a chunk cannot be read--> stopping
//                                                      --nothing is under way--> over
//
// In each, a message may be on its way while the next one is made.
#pragma once

#include "common/base/task_pool.h"
#include "coordinator/rpc/stream_context.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {

// The reactor deletes itself. `request` is a DownloadWeightsRequest, and what is written are
// DownloadWeightsResponses, as bytes. The file is read on `pool`.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartDownload(const StreamContext& context,
                                                          const grpc::ByteBuffer& request,
                                                          TaskPool* pool);

}  // namespace distillery

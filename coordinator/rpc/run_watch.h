// WatchRun: a run each time it changes.
//
//   watching --the run has ended--> closing --its last message is sent--> over
//      |                               |
//      +--the client went away or reads nothing--> broken --nothing is on its way--> over
//      +--refused, or the coordinator stops--> over
#pragma once

#include <string>

#include "coordinator/rpc/stream_context.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {

// The reactor deletes itself.
grpc::ServerWriteReactor<v1::WatchRunResponse>* StartWatch(const StreamContext& context,
                                                           const std::string& run_id);

}  // namespace distillery

// Asks a service for its health by grpc.health.v1: what container engines call, and scripts.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/transport.h"

namespace distillery {

// OK if the service at `address` serves. UNAVAILABLE if it does not answer in `timeout`, or is
// NOT_SERVING (a teacher serves once its model is warm). Errors as MakeChannel.
absl::Status CheckHealth(const std::string& address, const TransportOptions& transport,
                         absl::Duration timeout);

}  // namespace distillery

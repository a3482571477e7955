// absl::Status to grpc::Status and back: one place each way.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace distillery {

// Same code and message, which is plain text (common/base/text.h) of 1,500 bytes at most. UNAVAILABLE carries google.rpc.RetryInfo of one second in its details
// (grpc-status-details-bin), so that clients know when to ask again. Each occurrence of
// `hidden_path`, if not empty, is replaced by "...": errors that leave a process name no local path.
grpc::Status ToGrpcStatus(const absl::Status& status, absl::string_view hidden_path = "");

// Same code and message as plain text: the other side may be anybody's program.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace distillery

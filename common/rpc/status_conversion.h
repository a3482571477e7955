// absl::Status to grpc::Status and back: one place each way.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace distillery {

// Same code and message; the message becomes plain text (common/base/text.h) of at most 1,500
// bytes. UNAVAILABLE carries google.rpc.RetryInfo of one second in its details
// (grpc-status-details-bin), so that clients know when to ask again. Each occurrence of
// `hidden_path`, if not empty, is replaced by "...": errors that leave a process name no local
// path.
grpc::Status ToGrpcStatus(const absl::Status& status, absl::string_view hidden_path = "");

// Same code and message; the message becomes plain text, since the other side may be any program.
absl::Status FromGrpcStatus(const grpc::Status& status);

// Whether nobody has answered, and it may be asked again: UNAVAILABLE, DEADLINE_EXCEEDED, or
// CANCELLED of a call that this side has not cancelled, which is how calls end that a server still
// has when it stops.
bool NobodyAnswered(const absl::Status& status);

}  // namespace distillery

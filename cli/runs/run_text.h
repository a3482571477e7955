// How a run stands, for people and for scripts.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

bool HasEnded(const v1::Run& run);
// It has ended or is paused: without somebody's help it stays as it is.
bool StandsStill(const v1::Run& run);
// "pending", "running", "succeeded", "failed", "cancelled", "paused".
std::string RunStateName(const v1::Run& run);
// OK for a run that succeeded; else its reason, and of a paused one `go_on`, by default the
// command.
absl::Status RunOutcome(const v1::Run& run, const std::string& go_on = "");

// JSON with the proto's field names, as one object.
std::string ToJson(const google::protobuf::Message& message);

// "accuracy 97.23 % (11 errors of 397)"; of other answers than one class for a sample, all figures:
// "mean squared error 0.0123, R2 0.9321".
std::string DescribeEvaluation(const v1::EvaluationMetrics& metrics);

}  // namespace distillery

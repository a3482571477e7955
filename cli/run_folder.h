// What a run leaves behind for people: the student, its figures, and a note on each file.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/run_client.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// Downloads W_round (-1: the newest) and writes it to `path`, in the format that its ending names (see
// model_export.h). Returns the SHA-256 of the weights. `student_file`: the TorchScript file of a
// student that is one; "": the path in the run's spec.
absl::StatusOr<std::string> ExportStudent(const RunClient& client, const v1::Run& run,
                                          int64_t round, const std::string& path,
                                          const std::string& student_file = "");

// Writes student.pt, student.safetensors, metrics.json and README.txt of a run that succeeded.
absl::Status WriteRunFolder(const RunClient& client, const v1::GetRunResponse& run,
                            const std::string& folder);

// JSON with the proto's field names, as one object.
std::string ToJson(const google::protobuf::Message& message);

// "accuracy 97.23 % (11 errors of 397)".
std::string DescribeEvaluation(const v1::EvaluationMetrics& metrics);

}  // namespace distillery

// ModelInferRequest to what the device needs.
//
// Threads: safe for all.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "inference/grpc_service.pb.h"
#include "teacher_service/inference/outputs.h"
#include "teacher_service/inference/parameters.h"
#include "teacher_service/inference/sent_numbers.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

// What one request asks for, checked.
struct InferenceRequest {
  InferenceParameters parameters;
  std::vector<InferenceOutput> outputs;
  int64_t rows = 0;
  // Whether the answer is raw, as the inputs were.
  bool raw = false;
  // Converted, or the message's own bytes.
  SentInputs inputs;
};

// The message must outlive what is returned. Nothing is allocated by a size that the message's own
// bytes do not bear out. INVALID_ARGUMENT names the field; RESOURCE_EXHAUSTED for more than 4096
// rows or an answer over 4 MiB.
absl::StatusOr<InferenceRequest> ReadInferenceRequest(const inference::ModelInferRequest& message,
                                                      const TeacherInfo& info);

// NOT_FOUND unless `version` is the one that each model has, or empty.
absl::Status CheckModelVersion(absl::string_view field, const std::string& version);
inline constexpr char kModelVersion[] = "1";

inline constexpr int64_t kMaxInferenceRows = 4096;

}  // namespace distillery

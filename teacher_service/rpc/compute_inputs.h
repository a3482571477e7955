// The inputs of a ComputeSoftTargetsRequest.
//
// Threads: safe for all.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "distillery/v1/teacher_service.pb.h"
#include "teacher_service/inference/sent_numbers.h"

namespace distillery {

struct ComputeInputs {
  SentInputs inputs;
  int64_t rows = 0;
};

// The request must outlive what is returned. Nothing is allocated by a size that the request's own
// bytes do not bear out. INVALID_ARGUMENT names the input and what is wrong with its name, type,
// shape or size, or pixel_max; RESOURCE_EXHAUSTED for more than 4096 rows.
absl::StatusOr<ComputeInputs> ReadComputeInputs(const v1::ComputeSoftTargetsRequest& request,
                                                const SampleSpec& samples);

}  // namespace distillery

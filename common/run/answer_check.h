// Whether a run can learn what its data set's answers are.
#pragma once

#include "absl/status/status.h"
#include "common/data/sample_spec.h"
#include "common/run/run_spec.h"

namespace distillery {

// INVALID_ARGUMENT, naming the key, its value and what to take in its place, for a spec that asks
// for what answers of this kind do not have. REQUIRES: a valid spec.
absl::Status CheckFitsAnswers(const RunSpec& spec, const AnswerSpec& answers);

}  // namespace distillery

// Whether a stored sample holds what its spec says.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "common/data/sample_spec.h"

namespace distillery {

// INVALID_ARGUMENT, naming the input or the position and the number: a float that is not finite, a
// token that is not below the vocabulary, a label that is no class (or kNoLabel), neither 0 nor 1,
// or not finite. `record`: spec.record_bytes(answers) bytes.
absl::Status CheckRecord(const SampleSpec& spec, int64_t answers, const uint8_t* record);

}  // namespace distillery

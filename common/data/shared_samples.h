// Samples that two splits have in common, pixel by pixel: a model that was trained on one split has
// then seen what it is tested with.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"

namespace distillery {

// How many samples of `test` have the stored pixels of some sample of `train`, by SHA-256, whatever
// their labels. Reads all of both; holds 16 bytes for each sample of train. Errors as
// Dataset::ReadRecords; INVALID_ARGUMENT for images of unlike shapes.
absl::StatusOr<int64_t> CountSharedSamples(const Dataset& train, const Dataset& test);

}  // namespace distillery

// How often each class or label occurs in a split.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"

namespace distillery {

// For each class the samples, or the positions, that have it; for each of several labels the
// positions that it is right for; of values nothing. Reads the records where the labels are in
// them: errors as Dataset::ReadRecords.
absl::StatusOr<std::vector<int64_t>> CountLabels(const Dataset& dataset);

}  // namespace distillery

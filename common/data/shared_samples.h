// Samples that two splits have in common, pixel by pixel: a model that was trained on one split has
// then seen what it is tested with.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"

namespace distillery {

struct SharedSamples {
  // Samples of test that train has too.
  int64_t count = 0;
  // The first of them: a row of test, and the first row of train that is the same.
  std::vector<std::pair<int64_t, int64_t>> first;
};
inline constexpr size_t kSharedSamplesNamed = 10;

// The samples of `test` that have the stored pixels of some sample of `train`, by SHA-256, whatever
// their labels. Reads all of both; holds 20 bytes for each sample of train. Errors as
// Dataset::ReadRecords; INVALID_ARGUMENT for images of unlike shapes.
absl::StatusOr<SharedSamples> FindSharedSamples(const Dataset& train, const Dataset& test);

}  // namespace distillery

// Data sets made up for benchmarks, as files.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/data/samples.h"

namespace distillery {

// Random images of 28x28 in 10 classes in MNIST's IDX format: `count` for training, 16 for tests.
absl::Status WriteIdxFolder(const std::string& folder, int64_t count);

// Random images of that shape in NumPy's format: `count` for training, one for tests.
absl::Status WriteNpyFolder(const std::string& folder, int64_t count, int64_t classes,
                            const ImageShape& shape = {1, 1, 1});

}  // namespace distillery

// Weights out of the files that people have them in.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/weights/weights.h"

namespace distillery {

// Reads a safetensors file, or a trusted local TorchScript file, whose card does not matter; the
// content tells which it is. NOT_FOUND for a missing file; INVALID_ARGUMENT, naming the file, if it
// is of another kind, damaged, or without a single parameter.
absl::StatusOr<Weights> ReadWeights(const std::string& path);

}  // namespace distillery

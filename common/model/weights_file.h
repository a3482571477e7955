// Weights out of the files that people have them in.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/weights/weights.h"

namespace distillery {

// A safetensors file, or a trusted local TorchScript file, whose card does not matter; told by their
// content. NOT_FOUND; INVALID_ARGUMENT naming the file for another kind, a damaged one, or one without
// a single parameter.
absl::StatusOr<Weights> ReadWeights(const std::string& path);

}  // namespace distillery

// Weights out of the files that people have them in.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/weights/weights.h"

namespace distillery {

// A .safetensors file, or else a trusted local TorchScript file, whose card does not matter.
// NOT_FOUND; INVALID_ARGUMENT naming the file if it is not what its ending says.
absl::StatusOr<Weights> ReadWeights(const std::string& path);

}  // namespace distillery

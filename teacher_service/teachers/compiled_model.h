// Models that were compiled ahead of time: AOTInductor packages (.pt2) of PyTorch 2.6 and newer,
// for the kind of device that they were compiled on.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/nn/device.h"

namespace distillery {

// The function that the package computes; it gives all of its outputs. FAILED_PRECONDITION in a
// build without DISTILLERY_AOTI; INVALID_ARGUMENT for what is no package (model_format.h tells it
// by its content).
absl::StatusOr<std::function<std::vector<at::Tensor>(const at::Tensor&)>> LoadCompiledModel(
    const std::string& path, const ComputeDevice& device);

}  // namespace distillery

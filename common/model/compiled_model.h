// Models that were compiled ahead of time: AOTInductor packages (.pt2) of PyTorch 2.6 and newer, for the
// kind of device that they were compiled on.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/device.h"

namespace distillery {

// True for a file of that ending.
bool IsCompiledModel(const std::string& path);

// What it computes. FAILED_PRECONDITION in a build without DISTILLERY_AOTI; INVALID_ARGUMENT for what is
// no package.
absl::StatusOr<std::function<at::Tensor(const at::Tensor&)>> LoadCompiledModel(
    const std::string& path, const ComputeDevice& device);

}  // namespace distillery

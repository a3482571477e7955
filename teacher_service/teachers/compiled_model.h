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

// The function that a package computes: its inputs, in order, to all of its outputs.
using CompiledModel = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

// FAILED_PRECONDITION in a build without DISTILLERY_AOTI; INVALID_ARGUMENT for what is no package
// (model_format.h tells it by its content).
absl::StatusOr<CompiledModel> LoadCompiledModel(const std::string& path,
                                                const ComputeDevice& device);

}  // namespace distillery

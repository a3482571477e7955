// What LibTorch offers for CUDA alone. Without CUDA (DISTILLERY_CUDA off) there is nothing of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/nn/device_runtime.h"

namespace distillery {

// "NVIDIA A100-SXM4-40GB", say; "" without CUDA.
std::string CudaDeviceName(int64_t index);

// Gives blocks that the caching allocator holds and nobody uses back to all devices.
void EmptyCudaCache();

// See DeviceRuntime::Capture; null without CUDA.
std::unique_ptr<CapturedForward> CaptureCudaGraph(
    const at::Tensor& example, const std::function<at::Tensor(const at::Tensor&)>& forward);

}  // namespace distillery

#include "common/nn/c10_device_runtime.h"

#include <torch/types.h>

#include "common/nn/cuda.h"

namespace distillery {

DeviceRuntime& DeviceRuntime::Cuda() {
  // Never destroyed: threads that compute may outlive main.
  static auto* const runtime = [] {
    C10DeviceRuntime::Parts parts;
    if (c10::impl::hasDeviceGuardImpl(at::kCUDA)) {
      parts.guard = c10::impl::getDeviceGuardImpl(at::kCUDA);
      parts.name = CudaDeviceName;
      parts.empty_cache = EmptyCudaCache;
      parts.capture = CaptureCudaGraph;
    }
    return new C10DeviceRuntime(std::move(parts));
  }();
  return *runtime;
}

int64_t C10DeviceRuntime::device_count() const {
  return parts_.guard == nullptr ? 0 : parts_.guard->deviceCount();
}

at::Device C10DeviceRuntime::TensorDevice(int64_t index) const {
  return at::Device(parts_.type, static_cast<at::DeviceIndex>(index));
}

std::string C10DeviceRuntime::DeviceName(int64_t index) const {
  return parts_.name ? parts_.name(index) : "";
}

c10::Stream C10DeviceRuntime::TakeStream(const at::Device& device) {
  return parts_.guard->getStreamFromGlobalPool(device);
}

c10::Stream C10DeviceRuntime::ExchangeStream(const c10::Stream& stream) {
  return parts_.guard->exchangeStream(stream);
}

void C10DeviceRuntime::Synchronize(const c10::Stream& stream) {
  parts_.guard->synchronizeStream(stream);
}

at::Tensor C10DeviceRuntime::PinnedTensor(at::IntArrayRef shape, at::ScalarType type) {
  return at::empty(shape, at::TensorOptions(type).pinned_memory(parts_.pinned));
}

at::Tensor C10DeviceRuntime::CopyToDevice(const at::Tensor& host, const at::Device& device) {
  return host.to(device, /*non_blocking=*/true);
}

void C10DeviceRuntime::CopyToHost(const at::Tensor& on_device, at::Tensor host) {
  host.copy_(on_device, /*non_blocking=*/true);
}

std::unique_ptr<CapturedForward> C10DeviceRuntime::Capture(
    const at::Tensor& example, const std::function<at::Tensor(const at::Tensor&)>& forward) {
  return parts_.capture ? parts_.capture(example, forward) : nullptr;
}

void C10DeviceRuntime::EmptyCache() {
  if (parts_.empty_cache) parts_.empty_cache();
}

}  // namespace distillery

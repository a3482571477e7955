// DeviceRuntime by LibTorch's device-generic interface, which needs no header of CUDA.
#pragma once

#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <functional>
#include <string>

#include "common/nn/device_runtime.h"

namespace distillery {

class C10DeviceRuntime : public DeviceRuntime {
 public:
  struct Parts {
    // The type of the devices' tensors.
    at::DeviceType type = at::kCUDA;
    // Null: no device is seen. Must outlive this.
    const c10::impl::DeviceGuardImplInterface* guard = nullptr;
    // False where there is nothing to pin for.
    bool pinned = true;
    // What LibTorch has no device-generic call for; may be empty.
    std::function<std::string(int64_t index)> name;
    std::function<void()> empty_cache;
    std::function<std::unique_ptr<CapturedForward>(
        const at::Tensor& example, const std::function<at::Tensor(const at::Tensor&)>& forward)>
        capture;
  };
  explicit C10DeviceRuntime(Parts parts) : parts_(std::move(parts)) {}

  int64_t device_count() const override;
  at::Device TensorDevice(int64_t index) const override;
  std::string DeviceName(int64_t index) const override;
  c10::Stream TakeStream(const at::Device& device) override;
  c10::Stream ExchangeStream(const c10::Stream& stream) override;
  void Synchronize(const c10::Stream& stream) override;
  at::Tensor PinnedTensor(at::IntArrayRef shape, at::ScalarType type) override;
  at::Tensor CopyToDevice(const at::Tensor& host, const at::Device& device) override;
  void CopyToHost(const at::Tensor& on_device, at::Tensor host) override;
  std::unique_ptr<CapturedForward> Capture(
      const at::Tensor& example,
      const std::function<at::Tensor(const at::Tensor&)>& forward) override;
  void EmptyCache() override;

 private:
  const Parts parts_;
};

}  // namespace distillery

// Where LibTorch computes, and how exactly.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/nn/device_runtime.h"

namespace distillery {

struct ComputeDevice {
  // As it was asked for: "cpu", "cuda" or "cuda:1".
  std::string name = "cpu";
  // "cpu", or "cuda" and the card's name: what results depend on, unlike which of several equal
  // cards.
  std::string kind = "cpu";
  // Where its tensors live.
  at::Device tensors = at::Device(at::kCPU);
  // Null on a CPU.
  DeviceRuntime* runtime = nullptr;

  bool is_cpu() const { return runtime == nullptr; }
};

// "cpu", "cuda" (the first one) or "cuda:N" of `runtime`, which must outlive the result; null: of
// what LibTorch sees. INVALID_ARGUMENT with the nearest name; FAILED_PRECONDITION if the device is
// not there.
absl::StatusOr<ComputeDevice> ParseDevice(const std::string& text,
                                          DeviceRuntime* runtime = nullptr);

// While it lives and `mixed` is true, matrix products and convolutions that the calling thread
// starts on `device` are made in bfloat16 and everything else in float32, as torch.autocast does.
// bfloat16 has float32's range, so that gradients need no scaling.
class MixedPrecisionScope {
 public:
  MixedPrecisionScope(bool mixed, const at::Device& device);
  ~MixedPrecisionScope();
  MixedPrecisionScope(const MixedPrecisionScope&) = delete;
  MixedPrecisionScope& operator=(const MixedPrecisionScope&) = delete;

 private:
  const bool mixed_;
  const at::DeviceType device_;
};

}  // namespace distillery

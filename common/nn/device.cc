#include "common/nn/device.h"

#include <torch/script.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/nn/numerics.h"
#include "common/nn/torch_version.h"

namespace distillery {

absl::StatusOr<ComputeDevice> ParseDevice(const std::string& text, DeviceRuntime* runtime) {
  if (runtime == nullptr) runtime = &DeviceRuntime::Cuda();
  ComputeDevice device;
  if (text == device.name) return device;
  int64_t index = 0;
  if (text != "cuda" && !(absl::StartsWith(text, "cuda:") &&
                          absl::SimpleAtoi(text.substr(5), &index) && index >= 0)) {
    return absl::InvalidArgumentError(UnknownName("device", text, {"cpu", "cuda", "cuda:N"}));
  }
  const int64_t count = runtime->device_count();
  if (index >= count) {
    return absl::FailedPreconditionError(
        absl::StrCat("device ", text, " is not there: this LibTorch sees ", count,
                     " CUDA devices; use cpu, or a LibTorch with CUDA on a GPU node"));
  }
  device.name = text;
  device.kind = "cuda";
  device.runtime = runtime;
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    device.tensors = runtime->TensorDevice(index);
    std::string card = runtime->DeviceName(index);
    std::replace(card.begin(), card.end(), ' ', '_');
    if (!card.empty()) absl::StrAppend(&device.kind, "/", card);
    return absl::OkStatus();
  }));
  return device;
}

MixedPrecisionScope::MixedPrecisionScope(bool mixed, const at::Device& device)
    : mixed_(mixed), device_(device.type()) {
  if (mixed_) SetAutocast(device_, true);
}

MixedPrecisionScope::~MixedPrecisionScope() {
  if (!mixed_) return;
  SetAutocast(device_, false);
  // Casts of weights are kept for a scope: the next step has other weights.
  at::autocast::clear_cache();
}

}  // namespace distillery

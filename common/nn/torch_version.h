// What differs between the releases of LibTorch that this builds with, 1.13 to 2.x, in one place.
#pragma once

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/version.h>

// True if LibTorch is of that release or newer.
#define DISTILLERY_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) ||             \
   (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace distillery {

// Matrix products and convolutions that this thread starts on such a device are made in bfloat16.
inline void SetAutocast(at::DeviceType device, bool on) {
// 2.4 gave every device type the same functions.
#if DISTILLERY_TORCH_AT_LEAST(2, 4)
  at::autocast::set_autocast_dtype(device, at::kBFloat16);
  at::autocast::set_autocast_enabled(device, on);
#else
  if (device == at::kCUDA) {
    at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
    at::autocast::set_enabled(on);
  } else {
    at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
    at::autocast::set_cpu_enabled(on);
  }
#endif
}

// On CUDA float32 shall be float32, not TF32 with its 10 bits of mantissa, and the same batch give
// the same bits each time. Changes nothing on a CPU.
inline void UseExactCuda() {
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
}

}  // namespace distillery

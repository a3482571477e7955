// What computing on a GPU needs besides tensor operations: streams, pinned memory, copies, and the
// allocator's cache. All code for GPUs goes through this one seam, so that a test's fake can stand
// behind it where there is no GPU.
//
// Threads: safe for all. All methods may throw c10::Error, as LibTorch does; CatchTorchErrors
// (numerics.h) makes a status of it.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace distillery {

// A forward pass over a fixed number of rows that is launched as one. Not thread-safe.
class CapturedForward {
 public:
  virtual ~CapturedForward() = default;
  // `batch` has at most the captured rows. Returns the first batch.size(0) rows, which the next
  // Replay overwrites. Launches on the current stream, which must be the one of the capture.
  virtual at::Tensor Replay(const at::Tensor& batch) = 0;
};

class DeviceRuntime {
 public:
  // The CUDA devices that this LibTorch sees: none in a build without CUDA.
  static DeviceRuntime& Cuda();

  virtual ~DeviceRuntime() = default;
  // Does not throw.
  virtual int64_t device_count() const = 0;
  // Where the tensors of device `index` live. REQUIRES: 0 <= index < device_count(), here and
  // below.
  virtual at::Device TensorDevice(int64_t index) const = 0;
  // The card, such as "NVIDIA A100-SXM4-40GB"; unlike cards give unlike bits. "" where it is
  // unknown.
  virtual std::string DeviceName(int64_t index) const = 0;

  // A stream from the device's pool. What is launched on one stream is done in order; two may
  // overlap.
  virtual c10::Stream TakeStream(const at::Device& device) = 0;
  // Makes `stream` the calling thread's current one for its device; returns the one before.
  virtual c10::Stream ExchangeStream(const c10::Stream& stream) = 0;
  // Blocks until all that was launched on the stream is done. Errors of kernels show here.
  virtual void Synchronize(const c10::Stream& stream) = 0;

  // Host memory that a device copies from and to by itself, while the processor goes on.
  virtual at::Tensor PinnedTensor(at::IntArrayRef shape, at::ScalarType type) = 0;
  // Both only start the copy, on the current stream: `host` must live, unchanged, until
  // Synchronize.
  virtual at::Tensor CopyToDevice(const at::Tensor& host, const at::Device& device) = 0;
  virtual void CopyToHost(const at::Tensor& on_device, at::Tensor host) = 0;

  // Captures `forward` at the rows of `example`, a batch on the device: a CUDA graph. Null where
  // there are none. REQUIRES: forward launches the same work each time, and nothing that waits.
  virtual std::unique_ptr<CapturedForward> Capture(
      const at::Tensor& example, const std::function<at::Tensor(const at::Tensor&)>& forward) = 0;

  // Gives memory that the allocator keeps for later back to the device.
  virtual void EmptyCache() = 0;
};

}  // namespace distillery

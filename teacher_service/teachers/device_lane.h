// One thread's way to a device and back: a stream of its own and pinned buffers, so that one lane
// copies while another computes.
//
//   DeviceLanes lanes(device);
//   DeviceLanes::Lease lane(&lanes);
//   at::Tensor batch = lane->CopyIn(rows, at::kFloat, {count, 3, 224, 224});
//   lane->CopyOut(model(batch), buffer);         // waits
//   lane.Done();
#pragma once

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "common/base/mutex.h"
#include "common/nn/device.h"

namespace distillery {

// Not thread-safe. Errors are thrown, as LibTorch does.
class DeviceLane {
 public:
  // REQUIRES: !device.is_cpu().
  explicit DeviceLane(const ComputeDevice& device);

  // One input of a batch.
  struct Input {
    const void* values = nullptr;
    at::ScalarType type = at::kFloat;
    std::vector<int64_t> shape;
  };
  // Starts copies to tensors of these types and shapes on the device. The memory is free at once;
  // one CopyIn at a time until the next Wait or CopyOut.
  std::vector<at::Tensor> CopyIn(const std::vector<Input>& inputs);
  at::Tensor CopyIn(const void* values, at::ScalarType type, const std::vector<int64_t>& shape) {
    return CopyIn({{values, type, shape}}).front();
  }

  // One tensor on the device, and where its bytes go.
  struct Output {
    at::Tensor tensor;
    void* bytes = nullptr;
  };
  // Copies all of them and waits until they are there.
  void CopyOut(const std::vector<Output>& outputs);
  void CopyOut(const at::Tensor& tensor, void* bytes) { CopyOut({{tensor, bytes}}); }

  // `forward` of a batch on the device, captured the first time at padded rows of `sizes`
  // (padded_batch.h) and launched as one from then on. As it is where the batch fits no size or the
  // device captures nothing. The result is good until the next Forward.
  at::Tensor Forward(const at::Tensor& batch, const std::vector<int64_t>& sizes,
                     const std::function<at::Tensor(const at::Tensor&)>& forward);

  // Until all that was launched on the stream is done.
  void Wait() { device_.runtime->Synchronize(stream_); }

 private:
  friend class DeviceLanes;
  // Host memory of at least so many bytes, kept for the next time.
  at::Tensor Pinned(int64_t bytes, at::Tensor* buffer) const;

  const ComputeDevice device_;
  const c10::Stream stream_;
  // Bytes.
  at::Tensor inputs_;
  at::Tensor outputs_;
  // By rows.
  std::map<int64_t, std::unique_ptr<CapturedForward>> captured_;
};

// The lanes of one device: as many as were ever in use at once. Threads: safe for all.
class DeviceLanes {
 public:
  // REQUIRES: !device.is_cpu().
  explicit DeviceLanes(const ComputeDevice& device) : device_(device) {}

  // A lane for the calling thread. While it lives, what the thread launches goes to the lane's
  // device and stream; it must end on the same thread.
  class Lease {
   public:
    explicit Lease(DeviceLanes* lanes);
    // Unless Done: waits for what is still under way, whose buffers the next user would write to.
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    DeviceLane* operator->() const { return lane_.get(); }
    // All that was launched has been waited for.
    void Done() { done_ = true; }

   private:
    DeviceLanes* const lanes_;
    std::unique_ptr<DeviceLane> lane_;
    const c10::OptionalDeviceGuard guard_;
    const c10::Stream before_;
    bool done_ = false;
  };

  const ComputeDevice& device() const { return device_; }

 private:
  // A free one, or a new one.
  std::unique_ptr<DeviceLane> TakeLane();

  const ComputeDevice device_;
  Mutex mutex_;
  std::vector<std::unique_ptr<DeviceLane>> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

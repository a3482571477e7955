// A DeviceRuntime without a device: tensors stay on the CPU, and what would have happened is
// counted.
#pragma once

#include <torch/types.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "common/nn/device_runtime.h"

namespace distillery {

class FakeDeviceRuntime : public DeviceRuntime {
 public:
  explicit FakeDeviceRuntime(int64_t devices = 1) : devices_(devices) {}

  int64_t device_count() const override { return devices_; }
  at::Device TensorDevice(int64_t /*index*/) const override { return at::Device(at::kCPU); }
  std::string DeviceName(int64_t /*index*/) const override { return card; }

  c10::Stream TakeStream(const at::Device& device) override {
    return c10::Stream(c10::Stream::UNSAFE, device, ++streams);
  }
  c10::Stream ExchangeStream(const c10::Stream& stream) override {
    MutexLock lock(mutex_);
    const auto [current, is_new] = current_.try_emplace(std::this_thread::get_id(), 0);
    const c10::StreamId before = current->second;
    current->second = stream.id();
    return c10::Stream(c10::Stream::UNSAFE, stream.device(), before);
  }
  void Synchronize(const c10::Stream& stream) override {
    ++synchronisations;
    {
      MutexLock lock(mutex_);
      synchronised_.insert(stream.id());
    }
    if (on_synchronize) on_synchronize();
  }

  at::Tensor PinnedTensor(at::IntArrayRef shape, at::ScalarType type) override {
    ++pinned;
    return at::empty(shape, type);
  }
  at::Tensor CopyToDevice(const at::Tensor& host, const at::Device& /*device*/) override {
    ++copies_in;
    if (on_copy_in) on_copy_in(host);
    NoteStream();
    // A real copy is another tensor too: the host's may be written to again.
    return host.clone();
  }
  void CopyToHost(const at::Tensor& on_device, at::Tensor host) override {
    ++copies_out;
    bytes_out += static_cast<int64_t>(host.nbytes());
    NoteStream();
    host.copy_(on_device);
  }
  // What is captured is done again at each replay, on all rows of the capture, as a graph does.
  std::unique_ptr<CapturedForward> Capture(
      const at::Tensor& example,
      const std::function<at::Tensor(const at::Tensor&)>& forward) override {
    if (!captures) return nullptr;
    MutexLock lock(mutex_);
    captured_.push_back(example.size(0));
    return std::make_unique<Captured>(this, example.clone(), forward);
  }
  void EmptyCache() override { ++emptied; }

  // Streams that copies were started on, and that were waited for.
  std::set<c10::StreamId> copied_on() const {
    MutexLock lock(mutex_);
    return copied_on_;
  }
  std::set<c10::StreamId> synchronised() const {
    MutexLock lock(mutex_);
    return synchronised_;
  }
  // Rows of each capture.
  std::vector<int64_t> captured() const {
    MutexLock lock(mutex_);
    return captured_;
  }
  // The calling thread's; 0 is the default one.
  c10::StreamId current() const {
    MutexLock lock(mutex_);
    const auto found = current_.find(std::this_thread::get_id());
    return found == current_.end() ? 0 : found->second;
  }

  std::string card = "fake card";
  bool captures = true;
  // Called where a real device would throw; may throw. Set before any call.
  std::function<void(const at::Tensor& host)> on_copy_in;
  std::function<void()> on_synchronize;
  std::atomic<int64_t> streams{0};
  std::atomic<int64_t> pinned{0};
  std::atomic<int64_t> copies_in{0};
  std::atomic<int64_t> copies_out{0};
  std::atomic<int64_t> bytes_out{0};
  std::atomic<int64_t> synchronisations{0};
  std::atomic<int64_t> emptied{0};
  std::atomic<int64_t> replays{0};

 private:
  class Captured : public CapturedForward {
   public:
    Captured(FakeDeviceRuntime* runtime, at::Tensor input,
             std::function<at::Tensor(const at::Tensor&)> forward)
        : runtime_(runtime), input_(std::move(input)), forward_(std::move(forward)) {}
    at::Tensor Replay(const at::Tensor& batch) override {
      ++runtime_->replays;
      input_.narrow(0, 0, batch.size(0)).copy_(batch);
      return forward_(input_).narrow(0, 0, batch.size(0));
    }

   private:
    FakeDeviceRuntime* const runtime_;
    const at::Tensor input_;
    const std::function<at::Tensor(const at::Tensor&)> forward_;
  };
  void NoteStream() {
    MutexLock lock(mutex_);
    copied_on_.insert(current_[std::this_thread::get_id()]);
  }

  const int64_t devices_;
  mutable Mutex mutex_;
  std::map<std::thread::id, c10::StreamId> current_ ABSL_GUARDED_BY(mutex_);
  std::set<c10::StreamId> copied_on_ ABSL_GUARDED_BY(mutex_);
  std::set<c10::StreamId> synchronised_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> captured_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

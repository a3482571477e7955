// Compiled where LibTorch has CUDA alone; docs/gpu.md says where it has run.
#include "common/nn/cuda.h"

#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>

#include <mutex>

#include "common/nn/torch_version.h"

namespace distillery {
namespace {

class CudaGraphForward : public CapturedForward {
 public:
  CudaGraphForward(const at::Tensor& example,
                   const std::function<at::Tensor(const at::Tensor&)>& forward)
      : input_(example.clone()) {
    // The first passes choose algorithms and reserve memory, which a capture must not.
    constexpr int kWarmUps = 3;
    for (int i = 0; i < kWarmUps; ++i) forward(input_);
    c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(input_.get_device()))
        .synchronize();
    static std::mutex capturing;
    const std::lock_guard<std::mutex> lock(capturing);
#if DISTILLERY_TORCH_AT_LEAST(2, 1)
    // Other threads compute meanwhile.
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
#else
    graph_.capture_begin();
#endif
    try {
      output_ = forward(input_);
    } catch (...) {
      graph_.capture_end();
      throw;
    }
    graph_.capture_end();
  }

  at::Tensor Replay(const at::Tensor& batch) override {
    input_.narrow(0, 0, batch.size(0)).copy_(batch, /*non_blocking=*/true);
    graph_.replay();
    return output_.narrow(0, 0, batch.size(0));
  }

 private:
  at::cuda::CUDAGraph graph_;
  const at::Tensor input_;
  at::Tensor output_;
};

}  // namespace

std::string CudaDeviceName(int64_t index) {
  return at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(index))->name;
}

void EmptyCudaCache() { c10::cuda::CUDACachingAllocator::emptyCache(); }

std::unique_ptr<CapturedForward> CaptureCudaGraph(
    const at::Tensor& example, const std::function<at::Tensor(const at::Tensor&)>& forward) {
  return std::make_unique<CudaGraphForward>(example, forward);
}

}  // namespace distillery

// For a LibTorch without CUDA; cuda.cc is for one that has it.
#include "common/nn/cuda.h"

namespace distillery {

std::string CudaDeviceName(int64_t /*index*/) { return ""; }

void EmptyCudaCache() {}

std::unique_ptr<CapturedForward> CaptureCudaGraph(
    const at::Tensor& /*example*/,
    const std::function<at::Tensor(const at::Tensor&)>& /*forward*/) {
  return nullptr;
}

}  // namespace distillery

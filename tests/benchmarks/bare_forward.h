// The bare LibTorch forward that teacher_throughput compares with: a TorchScript module, batches of
// random inputs cut from one tensor, and nothing around it.
//
// LibTorch stays behind this header: no gRPC and no generated messages beside it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace distillery {

// Makes a built-in architecture for images of 28x28 in 10 classes, with its card.
absl::Status WriteModelFile(const std::string& path, const std::string& architecture);

class BareForward {
 public:
  static absl::StatusOr<std::unique_ptr<BareForward>> Load(const std::string& model_path);
  virtual ~BareForward() = default;
  // Computes batches for `seconds` on `threads` threads, each with one LibTorch thread; the rows.
  virtual int64_t Run(int64_t batch_rows, int threads, double seconds) = 0;
};

}  // namespace distillery

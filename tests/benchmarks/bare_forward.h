// The bare LibTorch forward that teacher_throughput compares with: a TorchScript module, batches of
// random inputs cut from one tensor, and nothing around it. On a GPU the inputs lie in pinned
// memory, and each thread copies them, computes and copies back on a stream of its own: what any
// service has to do.
//
// LibTorch stays behind this header: no gRPC and no generated messages beside it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// A model to measure with, and the images that it takes.
struct BenchmarkModel {
  // Built in (common/nn/architecture.h), or "resnet50".
  std::string architecture;
  ImageShape shape{1, 28, 28};
  int64_t classes = 10;
};

// Makes it, seeded, with its card.
absl::Status WriteModelFile(const std::string& path, const BenchmarkModel& model);

struct BareForwardOptions {
  std::string device = "cpu";
  // As in --precision of teacher_service.
  std::string precision = "float32";
  // Random rows that batches are cut from.
  int64_t input_rows = 8192;
};

class BareForward {
 public:
  static absl::StatusOr<std::unique_ptr<BareForward>> Load(const std::string& model_path,
                                                           const BareForwardOptions& options = {});
  virtual ~BareForward() = default;
  // Computes batches for `seconds`, one each at least, on `threads` threads, each with one LibTorch
  // thread; the rows.
  // REQUIRES: batch_rows divides the input rows.
  virtual int64_t Run(int64_t batch_rows, int threads, double seconds) = 0;
  // Computes at least `rows` rows on the calling thread, with one LibTorch thread.
  virtual void Compute(int64_t batch_rows, int64_t rows) = 0;
};

// Largest |logit - reference| over the largest |reference|, where the reference is computed in
// float64 on the CPU, of `rows` random rows in one batch.
absl::StatusOr<double> RelativeError(const std::string& model_path, const std::string& device,
                                     const std::string& precision, int64_t rows);

}  // namespace distillery

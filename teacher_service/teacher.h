// The numeric seam: inputs in, logits out. LibTorch, and later cache, ensemble and batching, stand
// behind it, and so does a test's fake.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/model/card.h"

namespace distillery {

struct TeacherInfo {
  // SHA-256 (hex) over the model file and what else changes outputs.
  std::string digest;
  // File name without folder.
  std::string model_name;
  ModelCard card;
  int64_t parameter_count = 0;
  std::string numerics_fingerprint;
  // Rows that are computed together, cut at multiples of it from the start of a shard.
  int64_t batch_rows = 0;
};

// Threads: safe for all; calls may run at the same time.
class Teacher {
 public:
  virtual ~Teacher() = default;
  virtual const TeacherInfo& info() const = 0;
  // inputs [rows, channels, height, width], pixels in 0..1; logits [rows, classes] is written.
  // RESOURCE_EXHAUSTED when the device has no memory; INTERNAL for what the model throws.
  virtual absl::Status ComputeLogits(const float* inputs, int64_t rows, float* logits) = 0;
};

}  // namespace distillery

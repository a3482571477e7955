// Looks at the bytes of a safetensors file while they come in, in whatever pieces, so that nobody
// has to read the file again: its SHA-256, and whether all its numbers are finite.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/checksum.h"
#include "common/weights/layout.h"
#include "common/weights/tensor_source.h"

namespace distillery {

// Threads: one at a time.
class WeightsScan {
 public:
  // A layout without tensors: SHA-256 alone.
  explicit WeightsScan(WeightsLayout layout) : layout_(std::move(layout)) {}

  // The next bytes of the file.
  void Update(absl::string_view bytes);
  // INVALID_ARGUMENT naming the first tensor of a float type that holds NaN or infinity, as the
  // layout has it: whether the file is of that layout is for others to check.
  absl::Status finite() const;
  // The digest of all bytes. Call once, last.
  std::string HexDigest() { return digest_.HexDigest(); }

 private:
  WeightsLayout layout_;
  Sha256 digest_;
  int64_t position_ = 0;
  // The tensor that `position_` is in or before, and the bytes of an element that is not whole yet.
  size_t tensor_ = 0;
  std::string part_;
  // Empty: all are finite so far.
  std::string bad_tensor_;
};

// The same of a whole file; errors of `weights`.
absl::Status CheckFinite(const TensorSource& weights);

}  // namespace distillery

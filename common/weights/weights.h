// A set of weights in memory: a canonical safetensors file, with access to its tensors.
//
// Threads: const methods are safe for all; writers need the object to themselves.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/weights/layout.h"

namespace distillery {

class Weights {
 public:
  // All zero.
  explicit Weights(WeightsLayout layout);
  // Takes any valid safetensors file and makes it canonical. INVALID_ARGUMENT as
  // WeightsLayout::Parse.
  static absl::StatusOr<Weights> FromFile(std::string file);

  const WeightsLayout& layout() const { return layout_; }
  // The canonical file.
  const std::string& file() const { return file_; }
  std::string Sha256() const;
  // The bytes of one tensor; `tensor` is from layout().
  char* Bytes(const TensorSpec& tensor) { return &file_[Start(tensor)]; }
  absl::string_view Bytes(const TensorSpec& tensor) const {
    return absl::string_view(file_).substr(Start(tensor), static_cast<size_t>(tensor.byte_count));
  }

 private:
  size_t Start(const TensorSpec& tensor) const {
    return static_cast<size_t>(layout_.data_start() + tensor.offset);
  }
  WeightsLayout layout_;
  std::string file_;
};

}  // namespace distillery

// Where a tensor's bytes lie in a safetensors file.
#pragma once

#include "absl/strings/string_view.h"
#include "common/weights/layout.h"

namespace distillery {

// REQUIRES: `layout` was parsed from `file`, or is that of it, and `tensor` is from it.
inline absl::string_view TensorBytes(absl::string_view file, const WeightsLayout& layout,
                                     const TensorSpec& tensor) {
  return file.substr(static_cast<size_t>(layout.data_start() + tensor.offset),
                     static_cast<size_t>(tensor.byte_count));
}

}  // namespace distillery

// A built-in architecture as a list of layers: what TorchScript modules and ONNX graphs are made from.
// Needs no LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

struct Layer {
  enum class Kind {
    // [batch, ...] -> [batch, product]
    kFlatten,
    // x [batch, in] -> [batch, out] by `name`.weight [out, in] and `name`.bias [out]
    kLinear,
    // x [batch, in, h, w] -> [batch, out, h + 2 padding - kernel + 1, ...] by `name`.weight
    // [out, in, kernel, kernel] and `name`.bias [out], stride 1
    kConvolution,
    kRelu,
    // 2 x 2, stride 2
    kMaxPool,
    // In training alone.
    kDropout,
  };
  Kind kind = Kind::kFlatten;
  std::string name;
  int64_t in = 0;
  int64_t out = 0;
  int64_t kernel = 0;
  int64_t padding = 0;
  double rate = 0;
};

// The layers of `architecture` (see architecture.h) for images of `input` in `class_count` classes.
// INVALID_ARGUMENT for an unknown architecture (with the nearest), option, or sizes that do not fit.
absl::StatusOr<std::vector<Layer>> PlanArchitecture(const std::string& architecture,
                                                    const ImageShape& input, int64_t class_count);

}  // namespace distillery

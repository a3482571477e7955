// One layer of an architecture: what TorchScript modules and ONNX graphs are made from.
#pragma once

#include <cstdint>
#include <string>

namespace distillery {

// output = layer(input), where `input` and `output` name values: "x" is the images before the first
// layer and the logits after the last; a later layer may write a name again.
struct Layer {
  enum class Kind {
    // [batch, ...] -> [batch, product]
    kFlatten,
    // [batch, in] -> [batch, out] by `name`.weight [out, in] and `name`.bias [out]
    kLinear,
    // [batch, in, h, w] -> [batch, out, (h + 2 padding - kernel) / stride + 1, ...] by
    // `name`.weight [out, in, kernel, kernel] and, if `bias`, `name`.bias [out]
    kConvolution,
    // [batch, out, h, w], each channel normalised by the batch's mean and variance in training, by
    // `name`.running_mean and .running_var [out] else; then scaled by .weight and moved by .bias
    // [out]
    kBatchNorm,
    kRelu,
    // 2 x 2, stride 2
    kMaxPool,
    // [batch, channels, h, w] -> [batch, channels, 1, 1]
    kGlobalAveragePool,
    // In training alone.
    kDropout,
    // output = input + addend
    kAdd,
  };
  Kind kind = Kind::kFlatten;
  std::string input = "x";
  std::string output = "x";
  std::string addend;
  // Dotted, such as layer1.0.conv1.
  std::string name;
  int64_t in = 0;
  int64_t out = 0;
  int64_t kernel = 0;
  int64_t stride = 1;
  int64_t padding = 0;
  bool bias = true;
  double rate = 0;
};

// Added to a variance before its root is taken.
inline constexpr double kBatchNormEpsilon = 1e-5;
// Share of the newest batch in the running statistics.
inline constexpr double kBatchNormMomentum = 0.1;

}  // namespace distillery

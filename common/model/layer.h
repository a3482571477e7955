// One layer of an architecture: what TorchScript modules and ONNX graphs are made from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace distillery {

// output = layer(input), where `input` and `output` name values: "x" is the only input of the model
// before the first layer and the logits after the last; a later layer may write a name again. What
// the inputs of a model with several are called says InputValues (plan_checks.h). `name`.PART are
// the layer's tensors, in which `in` and `out` are sizes: see layer_tensors.h.
struct Layer {
  enum class Kind {
    // [batch, ...] -> [batch, product]
    kFlatten,
    // [batch, in] -> [batch, out] by weight [out, in] and bias [out]
    kLinear,
    // The same at each position: [batch, length, in] -> [batch, length, out]
    kPositionLinear,
    // [batch, in, size ...] -> [batch, out, (size + 2 padding - kernel) / stride + 1 ...], one or
    // two sizes, as many as the kernel has, by weight [out, in / groups, kernel ...] and, if
    // `bias`,
    // bias [out]. Each of the `groups` has an equal part of both channels.
    kConvolution,
    // [batch, out, ...], each channel normalised by the batch's mean and variance in training, by
    // running_mean and running_var [out] else; then scaled by weight and moved by bias [out]
    kBatchNorm,
    // [batch, length, out], each position normalised by its own mean and variance, then scaled by
    // weight and moved by bias [out]
    kLayerNorm,
    kRelu,
    // min(max(x, 0), 6)
    kRelu6,
    // x times the probability that a standard normal number is below x, by the error function
    kGelu,
    // [batch, channels, size ...] -> [batch, channels, size / kernel ...], one or two sizes
    kMaxPool,
    // [batch, channels, h, w] -> [batch, channels, 2 h, 2 w], each value four times
    kUpsample,
    // [batch, channels, h, w] -> [batch, channels, 1, 1]
    kGlobalAveragePool,
    // [batch, channels, length] -> [batch, channels]
    kMeanOverLength,
    // [batch, channels, h, w] -> [batch, h w, channels]
    kPixelsAsPositions,
    // In training alone.
    kDropout,
    // output = input + addend
    kAdd,
    // [batch, a, ...] and the addend's [batch, b, ...] -> [batch, a + b, ...]
    kConcat,
    // Dimension i of the output is dimension order[i] of the input.
    kPermute,
    // [...] -> [..., 1]
    kAppendSize,
    // Tokens [batch, length], int64 of 0 to in - 1 -> [batch, length, out] by weight [in, out]
    kEmbedding,
    // [batch, length, out] + weight [length, out]
    kAddPositions,
    // Self-attention of `heads` heads (Vaswani et al. 2017), [batch, length, out] -> the same, by
    // in_proj_weight [3 out, out] and in_proj_bias [3 out] for queries, keys and values and
    // out_proj.weight [out, out] and out_proj.bias [out], as torch.nn.MultiheadAttention has them.
    // No position looks at one that the mask does not count nor, if `causal`, at a later one.
    kAttention,
    // All states of a gated recurrent unit that starts from zeros, [batch, length, in] -> [batch,
    // length, out], by weight_ih_lN [3 out, in], weight_hh_lN [3 out, out], bias_ih_lN and
    // bias_hh_lN [3 out] for reset, update and new, as torch.nn.GRU has them; N is `number`.
    kGru,
    // [batch, length, out] -> [batch, out], the mean over the positions that count; 0 if none does
    kMeanPosition,
    // [batch, length, out] -> [batch, out], the last position that counts; the first if none does
    kLastPosition,
  };
  Kind kind = Kind::kFlatten;
  std::string input = "x";
  std::string output = "x";
  std::string addend;
  // A value [batch, length] of any type that is not 0 where a position counts; "": all count.
  std::string mask;
  // Dotted, such as layer1.0.conv1.
  std::string name;
  int64_t in = 0;
  int64_t out = 0;
  // Of as many sizes, one or two, that of each.
  std::vector<int64_t> kernel;
  std::vector<int64_t> stride;
  std::vector<int64_t> padding;
  int64_t groups = 1;
  bool bias = true;
  double rate = 0;
  int64_t length = 0;
  int64_t heads = 0;
  bool causal = false;
  int64_t number = 0;
  std::vector<int64_t> order;
};

// Added to a variance before its root is taken.
inline constexpr double kBatchNormEpsilon = 1e-5;
inline constexpr double kLayerNormEpsilon = 1e-5;
// Share of the newest batch in the running statistics.
inline constexpr double kBatchNormMomentum = 0.1;
// In place of the score of a position that attention may not look at: its weight becomes 0 in each
// type down to float16, and where all are so they share alike.
inline constexpr double kHiddenScore = -6e4;

}  // namespace distillery

// Writes down the layers of an architecture one after the other.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/model/layer.h"

namespace distillery {

// What follows an architecture's name behind a comma.
struct ArchitectureOptions {
  double dropout = 0;
  double input_dropout = 0;
  // Of transformers.
  bool causal = false;
  // Of recurrent networks: numbers lie as [length, channels].
  bool channels_last = false;
};

// Each layer takes what the one before gave. A residual branch y of x:
//   plan.Fork("y"); ...layers of y...; plan.Return(); ...layers of x...; plan.Add("y");
class PlanBuilder {
 public:
  void Flatten() { Append(Layer::Kind::kFlatten); }
  void Relu() { Append(Layer::Kind::kRelu); }
  void Gelu() { Append(Layer::Kind::kGelu); }
  // One size for [batch, channels, length], two for pictures.
  void MaxPool(const std::vector<int64_t>& kernel = {2, 2}) {
    Append(Layer::Kind::kMaxPool).kernel = kernel;
  }
  void Upsample() { Append(Layer::Kind::kUpsample); }
  void GlobalAveragePool() { Append(Layer::Kind::kGlobalAveragePool); }
  // One that needs nothing but its kind.
  void Plain(Layer::Kind kind) { Append(kind); }
  void AppendSize() { Append(Layer::Kind::kAppendSize); }
  void Permute(const std::vector<int64_t>& order) { Append(Layer::Kind::kPermute).order = order; }
  void Linear(const std::string& name, int64_t in, int64_t out) {
    AppendNamed(Layer::Kind::kLinear, name, in, out);
  }
  void PositionLinear(const std::string& name, int64_t in, int64_t out) {
    AppendNamed(Layer::Kind::kPositionLinear, name, in, out);
  }
  void Convolution(const std::string& name, int64_t in, int64_t out, int64_t kernel,
                   int64_t padding, int64_t stride = 1) {
    Layer& layer = AppendNamed(Layer::Kind::kConvolution, name, in, out);
    layer.kernel = {kernel, kernel};
    layer.stride = {stride, stride};
    layer.padding = {padding, padding};
  }
  // Without bias: a BatchNorm follows. Padded so that stride 1 keeps the size.
  void ResidualConvolution(const std::string& name, int64_t in, int64_t out, int64_t kernel,
                           int64_t stride) {
    Convolution(name, in, out, kernel, kernel / 2, stride);
    layers_.back().bias = false;
  }
  // The same with each channel convolved on its own.
  void DepthwiseConvolution(const std::string& name, int64_t channels, int64_t kernel,
                            int64_t stride) {
    ResidualConvolution(name, channels, channels, kernel, stride);
    layers_.back().groups = channels;
  }
  // One that has all sizes of its own, and no bias: one size for [batch, in, length], two for
  // pictures.
  void SizedConvolution(const std::string& name, int64_t in, int64_t out,
                        const std::vector<int64_t>& kernel, const std::vector<int64_t>& stride,
                        const std::vector<int64_t>& padding) {
    Layer& layer = AppendNamed(Layer::Kind::kConvolution, name, in, out);
    layer.kernel = kernel;
    layer.stride = stride;
    layer.padding = padding;
    layer.bias = false;
  }
  void BatchNorm(const std::string& name, int64_t channels) {
    AppendNamed(Layer::Kind::kBatchNorm, name, channels, channels);
  }
  void LayerNorm(const std::string& name, int64_t width) {
    AppendNamed(Layer::Kind::kLayerNorm, name, width, width);
  }
  void Embedding(const std::string& name, int64_t vocabulary, int64_t width) {
    AppendNamed(Layer::Kind::kEmbedding, name, vocabulary, width);
  }
  void AddPositions(const std::string& name, int64_t length, int64_t width) {
    AppendNamed(Layer::Kind::kAddPositions, name, width, width).length = length;
  }
  void Attention(const std::string& name, int64_t width, int64_t heads, int64_t length, bool causal,
                 const std::string& mask) {
    Layer& layer = AppendNamed(Layer::Kind::kAttention, name, width, width);
    layer.heads = heads;
    layer.length = length;
    layer.causal = causal;
    layer.mask = mask;
  }
  void Gru(const std::string& name, int64_t number, int64_t in, int64_t out) {
    AppendNamed(Layer::Kind::kGru, name, in, out).number = number;
  }
  void MeanPosition(const std::string& mask) { Append(Layer::Kind::kMeanPosition).mask = mask; }
  void LastPosition(int64_t length, const std::string& mask) {
    Layer& layer = Append(Layer::Kind::kLastPosition);
    layer.length = length;
    layer.mask = mask;
  }
  void Dropout(double rate) {
    if (rate > 0) Append(Layer::Kind::kDropout).rate = rate;
  }
  // The next layer takes this value, and gives x.
  void From(const std::string& value) { input_ = value; }
  // The next layer takes what the one before gave and gives `branch`; those after it go on there.
  void Fork(const std::string& branch) { output_ = branch; }
  // Back to x.
  void Return() { input_ = output_ = "x"; }
  void Add(const std::string& branch) { Append(Layer::Kind::kAdd).addend = branch; }
  void Concat(const std::string& branch) { Append(Layer::Kind::kConcat).addend = branch; }

  std::vector<Layer> Finish() { return std::move(layers_); }

 private:
  Layer& Append(Layer::Kind kind) {
    Layer& layer = layers_.emplace_back();
    layer.kind = kind;
    layer.input = input_;
    layer.output = output_;
    input_ = output_;
    return layer;
  }
  Layer& AppendNamed(Layer::Kind kind, const std::string& name, int64_t in, int64_t out) {
    Layer& layer = Append(kind);
    layer.name = name;
    layer.in = in;
    layer.out = out;
    return layer;
  }
  std::vector<Layer> layers_;
  std::string input_ = "x";
  std::string output_ = "x";
};

}  // namespace distillery

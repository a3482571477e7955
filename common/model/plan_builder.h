// Writes down the layers of an architecture one after the other.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/model/layer.h"

namespace distillery {

struct ArchitectureOptions {
  double dropout = 0;
  double input_dropout = 0;
};

// Each layer takes what the one before gave. A residual branch y of x:
//   plan.Fork("y"); ...layers of y...; plan.Return(); ...layers of x...; plan.Add("y");
class PlanBuilder {
 public:
  void Flatten() { Append(Layer::Kind::kFlatten); }
  void Relu() { Append(Layer::Kind::kRelu); }
  void MaxPool() { Append(Layer::Kind::kMaxPool); }
  void GlobalAveragePool() { Append(Layer::Kind::kGlobalAveragePool); }
  void Linear(const std::string& name, int64_t in, int64_t out) {
    Layer& layer = Append(Layer::Kind::kLinear);
    layer.name = name;
    layer.in = in;
    layer.out = out;
  }
  void Convolution(const std::string& name, int64_t in, int64_t out, int64_t kernel,
                   int64_t padding) {
    Layer& layer = Append(Layer::Kind::kConvolution);
    layer.name = name;
    layer.in = in;
    layer.out = out;
    layer.kernel = kernel;
    layer.padding = padding;
  }
  // Without bias: a BatchNorm follows. Padded so that stride 1 keeps the size.
  void ResidualConvolution(const std::string& name, int64_t in, int64_t out, int64_t kernel,
                           int64_t stride) {
    Convolution(name, in, out, kernel, kernel / 2);
    layers_.back().stride = stride;
    layers_.back().bias = false;
  }
  void BatchNorm(const std::string& name, int64_t channels) {
    Layer& layer = Append(Layer::Kind::kBatchNorm);
    layer.name = name;
    layer.in = channels;
    layer.out = channels;
  }
  void Dropout(double rate) {
    if (rate > 0) Append(Layer::Kind::kDropout).rate = rate;
  }
  // The next layer takes x and gives `branch`; those after it go on there.
  void Fork(const std::string& branch) { output_ = branch; }
  // Back to x.
  void Return() { input_ = output_ = "x"; }
  void Add(const std::string& branch) { Append(Layer::Kind::kAdd).addend = branch; }

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
  std::vector<Layer> layers_;
  std::string input_ = "x";
  std::string output_ = "x";
};

}  // namespace distillery

#include "common/model/layer_tensors.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

using Start = LayerTensor::Start;

constexpr double kEmbeddingDeviation = 0.02;

// In float, as the bound always was.
double UniformBound(int64_t fan_in) { return 1.0F / std::sqrt(static_cast<float>(fan_in)); }

std::vector<LayerTensor> WeightAndBias(int64_t out, const std::vector<int64_t>& fan_in) {
  std::vector<int64_t> shape{out};
  int64_t count = 1;
  for (const int64_t size : fan_in) {
    shape.push_back(size);
    count *= size;
  }
  const double bound = UniformBound(count);
  return {{"weight", shape, Start::kUniform, bound}, {"bias", {out}, Start::kUniform, bound}};
}

std::vector<LayerTensor> OfConvolution(const Layer& layer) {
  std::vector<int64_t> fan_in{layer.in / layer.groups};
  fan_in.insert(fan_in.end(), layer.kernel.begin(), layer.kernel.end());
  if (layer.bias) return WeightAndBias(layer.out, fan_in);
  int64_t fan_out = layer.out / layer.groups;
  for (const int64_t size : layer.kernel) fan_out *= size;
  std::vector<int64_t> shape{layer.out};
  shape.insert(shape.end(), fan_in.begin(), fan_in.end());
  return {{"weight", shape, Start::kNormal, std::sqrt(2 / static_cast<double>(fan_out))}};
}

std::vector<LayerTensor> OfAttention(int64_t width) {
  const double bound = UniformBound(width);
  return {{"in_proj_weight", {3 * width, width}, Start::kUniform, bound},
          {"in_proj_bias", {3 * width}, Start::kUniform, bound},
          {"out_proj.weight", {width, width}, Start::kUniform, bound},
          {"out_proj.bias", {width}, Start::kUniform, bound}};
}

std::vector<LayerTensor> OfGru(const Layer& layer) {
  const int64_t gates = 3 * layer.out;
  const double bound = UniformBound(layer.out);
  const auto part = [&](const char* name) { return absl::StrCat(name, "_l", layer.number); };
  return {{part("weight_ih"), {gates, layer.in}, Start::kUniform, bound},
          {part("weight_hh"), {gates, layer.out}, Start::kUniform, bound},
          {part("bias_ih"), {gates}, Start::kUniform, bound},
          {part("bias_hh"), {gates}, Start::kUniform, bound}};
}

}  // namespace

std::vector<LayerTensor> TensorsOf(const Layer& layer) {
  std::vector<LayerTensor> norm = {{"weight", {layer.out}, Start::kOnes},
                                   {"bias", {layer.out}, Start::kZeros}};
  switch (layer.kind) {
    case Layer::Kind::kLinear:
    case Layer::Kind::kPositionLinear:
      return WeightAndBias(layer.out, {layer.in});
    case Layer::Kind::kConvolution:
      return OfConvolution(layer);
    case Layer::Kind::kBatchNorm:
      return {norm[0],
              norm[1],
              {"running_mean", {layer.out}, Start::kZeros, 0, true},
              {"running_var", {layer.out}, Start::kOnes, 0, true},
              {"num_batches_tracked", {}, Start::kCount, 0, true}};
    case Layer::Kind::kLayerNorm:
      return norm;
    case Layer::Kind::kEmbedding:
      return {{"weight", {layer.in, layer.out}, Start::kNormal, kEmbeddingDeviation}};
    case Layer::Kind::kAddPositions:
      return {{"weight", {layer.length, layer.out}, Start::kNormal, kEmbeddingDeviation}};
    case Layer::Kind::kAttention:
      return OfAttention(layer.out);
    case Layer::Kind::kGru:
      return OfGru(layer);
    default:
      return {};
  }
}

int64_t WeightCount(const Layer& layer) {
  int64_t count = 0;
  for (const LayerTensor& tensor : TensorsOf(layer)) {
    if (tensor.shape.size() < 2) continue;
    int64_t elements = 1;
    for (const int64_t size : tensor.shape) elements *= size;
    count += elements;
  }
  return count;
}

}  // namespace distillery

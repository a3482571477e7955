// Layers as nodes of an ONNX graph.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/models/onnx_graph.h"
#include "common/model/layer.h"

namespace distillery {

// Writes layers one after the other; each takes the last value that has the name of its input.
class OnnxLayers {
 public:
  // `inputs`: the graph's names of the values that there are before the first layer.
  OnnxLayers(OnnxGraph* graph, std::map<std::string, std::string> inputs)
      : graph_(graph), values_(std::move(inputs)) {}

  // FAILED_PRECONDITION if the weights lack a tensor of the layer.
  absl::Status Add(const Layer& layer);

 private:
  // What a layer gives, by the graph's name of what it takes.
  using Result = absl::StatusOr<std::string>;
  Result ValueOf(const Layer& layer);
  Result Convolution(const Layer& layer, const std::string& x);
  Result BatchNorm(const Layer& layer, const std::string& x);
  Result LayerNorm(const Layer& layer, const std::string& x);
  Result Gelu(const std::string& x);
  Result Upsample(const std::string& x);
  // x [batch, length, in] by tensors of these names, weight [out, in] and bias [out].
  Result Project(const std::string& x, const std::string& weight, const std::string& bias);
  Result Attention(const Layer& layer, const std::string& x);
  Result Gru(const Layer& layer, const std::string& x);
  Result MeanPosition(const Layer& layer, const std::string& x);
  Result LastPosition(const Layer& layer, const std::string& x);

  std::string Value(const std::string& name) const { return values_.at(name); }
  // A weight of the layer.
  Result Part(const Layer& layer, const std::string& part) {
    return graph_->AddWeight(layer.name + "." + part);
  }
  std::string Cast(const std::string& x, onnx::TensorProto::DataType type);
  std::string Transpose(const std::string& x, const std::vector<int64_t>& order);
  std::string Reduce(const std::string& type, const std::string& x, int64_t axis, bool keep);
  // A bool of the mask, true where a position counts.
  std::string Counts(const Layer& layer);
  // A bool [length, length], true where the second place is no later than the first.
  std::string Earlier(int64_t length);

  OnnxGraph* const graph_;
  // What a layer's value is called in the graph now.
  std::map<std::string, std::string> values_;
  // By length: that constant.
  std::map<int64_t, std::string> earlier_;
};

}  // namespace distillery

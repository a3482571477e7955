#include "cli/models/onnx_layers.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// PyTorch's gates are reset, update, new; ONNX's update, reset, new. Rows of `width` numbers.
std::vector<float> OnnxGates(const std::vector<float>& values, int64_t states, int64_t width) {
  const int64_t gate = states * width;
  std::vector<float> turned(values.begin() + gate, values.begin() + 2 * gate);
  turned.insert(turned.end(), values.begin(), values.begin() + gate);
  turned.insert(turned.end(), values.begin() + 2 * gate, values.end());
  return turned;
}

}  // namespace

absl::Status OnnxLayers::Add(const Layer& layer) {
  DISTILLERY_ASSIGN_OR_RETURN(values_[layer.output], ValueOf(layer));
  return absl::OkStatus();
}

OnnxLayers::Result OnnxLayers::ValueOf(const Layer& layer) {
  const std::string x = Value(layer.input);
  switch (layer.kind) {
    case Layer::Kind::kDropout:  // in training alone
      return x;
    case Layer::Kind::kRelu:
      return graph_->Add("Relu", {x});
    case Layer::Kind::kRelu6:
      return graph_->Add("Clip", {x, graph_->AddFloat(0), graph_->AddFloat(6)});
    case Layer::Kind::kGelu:
      return Gelu(x);
    case Layer::Kind::kGlobalAveragePool:
      return graph_->Add("GlobalAveragePool", {x});
    case Layer::Kind::kMeanOverLength:
      return Reduce("ReduceMean", x, 2, false);
    case Layer::Kind::kPixelsAsPositions:
      // 0: that size of the input.
      return Transpose(graph_->Add("Reshape", {x, graph_->AddList({0, 0, -1})}), {0, 2, 1});
    case Layer::Kind::kFlatten: {
      onnx::NodeProto* const node = graph_->AddNode("Flatten", {x});
      SetInt(node, "axis", 1);
      return node->output(0);
    }
    case Layer::Kind::kAdd:
      return graph_->Add("Add", {x, Value(layer.addend)});
    case Layer::Kind::kConcat: {
      onnx::NodeProto* const node = graph_->AddNode("Concat", {x, Value(layer.addend)});
      SetInt(node, "axis", 1);
      return node->output(0);
    }
    case Layer::Kind::kPermute:
      return Transpose(x, layer.order);
    case Layer::Kind::kAppendSize:
      return graph_->Add("Unsqueeze", {x, graph_->AddList({-1})});
    case Layer::Kind::kMaxPool: {
      onnx::NodeProto* const node = graph_->AddNode("MaxPool", {x});
      SetInts(node, "kernel_shape", layer.kernel);
      SetInts(node, "strides", layer.kernel);
      return node->output(0);
    }
    case Layer::Kind::kUpsample:
      return Upsample(x);
    case Layer::Kind::kLinear: {
      DISTILLERY_ASSIGN_OR_RETURN(const std::string weight, Part(layer, "weight"));
      DISTILLERY_ASSIGN_OR_RETURN(const std::string bias, Part(layer, "bias"));
      onnx::NodeProto* const node = graph_->AddNode("Gemm", {x, weight, bias});
      SetInt(node, "transB", 1);
      return node->output(0);
    }
    case Layer::Kind::kPositionLinear:
      return Project(x, layer.name + ".weight", layer.name + ".bias");
    case Layer::Kind::kConvolution:
      return Convolution(layer, x);
    case Layer::Kind::kBatchNorm:
      return BatchNorm(layer, x);
    case Layer::Kind::kLayerNorm:
      return LayerNorm(layer, x);
    case Layer::Kind::kEmbedding: {
      DISTILLERY_ASSIGN_OR_RETURN(const std::string weight, Part(layer, "weight"));
      return graph_->Add("Gather", {weight, x});
    }
    case Layer::Kind::kAddPositions: {
      DISTILLERY_ASSIGN_OR_RETURN(const std::string weight, Part(layer, "weight"));
      return graph_->Add("Add", {x, weight});
    }
    case Layer::Kind::kAttention:
      return Attention(layer, x);
    case Layer::Kind::kGru:
      return Gru(layer, x);
    case Layer::Kind::kMeanPosition:
      return MeanPosition(layer, x);
    case Layer::Kind::kLastPosition:
      return LastPosition(layer, x);
  }
  return absl::InternalError("unknown layer");
}

OnnxLayers::Result OnnxLayers::Convolution(const Layer& layer, const std::string& x) {
  std::vector<std::string> inputs{x};
  for (const char* const part : {"weight", "bias"}) {
    if (part == std::string("bias") && !layer.bias) continue;
    DISTILLERY_ASSIGN_OR_RETURN(inputs.emplace_back(), Part(layer, part));
  }
  onnx::NodeProto* const node = graph_->AddNode("Conv", inputs);
  SetInts(node, "kernel_shape", layer.kernel);
  SetInts(node, "strides", layer.stride);
  // At the starts, then at the ends.
  std::vector<int64_t> pads = layer.padding;
  pads.insert(pads.end(), layer.padding.begin(), layer.padding.end());
  SetInts(node, "pads", pads);
  if (layer.groups > 1) SetInt(node, "group", layer.groups);
  return node->output(0);
}

OnnxLayers::Result OnnxLayers::BatchNorm(const Layer& layer, const std::string& x) {
  std::vector<std::string> inputs{x};
  for (const char* const part : {"weight", "bias", "running_mean", "running_var"}) {
    DISTILLERY_ASSIGN_OR_RETURN(inputs.emplace_back(), Part(layer, part));
  }
  onnx::NodeProto* const node = graph_->AddNode("BatchNormalization", inputs);
  SetFloat(node, "epsilon", kBatchNormEpsilon);
  return node->output(0);
}

// LayerNormalization came with opset 17.
OnnxLayers::Result OnnxLayers::LayerNorm(const Layer& layer, const std::string& x) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string weight, Part(layer, "weight"));
  DISTILLERY_ASSIGN_OR_RETURN(const std::string bias, Part(layer, "bias"));
  const std::string centred = graph_->Add("Sub", {x, Reduce("ReduceMean", x, -1, true)});
  const std::string variance =
      Reduce("ReduceMean", graph_->Add("Mul", {centred, centred}), -1, true);
  const std::string deviation =
      graph_->Add("Sqrt", {graph_->Add("Add", {variance, graph_->AddFloat(kLayerNormEpsilon)})});
  const std::string scaled = graph_->Add("Mul", {graph_->Add("Div", {centred, deviation}), weight});
  return graph_->Add("Add", {scaled, bias});
}

// Gelu came with opset 20.
OnnxLayers::Result OnnxLayers::Gelu(const std::string& x) {
  const std::string error =
      graph_->Add("Erf", {graph_->Add("Mul", {x, graph_->AddFloat(std::sqrt(0.5))})});
  const std::string share = graph_->Add("Add", {error, graph_->AddFloat(1)});
  return graph_->Add("Mul", {graph_->Add("Mul", {x, graph_->AddFloat(0.5)}), share});
}

OnnxLayers::Result OnnxLayers::Upsample(const std::string& x) {
  const std::string scales = graph_->AddFloats({1, 1, 2, 2}, {4});
  // The second input, a region of interest, is for another mode.
  onnx::NodeProto* const node = graph_->AddNode("Resize", {x, "", scales});
  SetString(node, "mode", "nearest");
  SetString(node, "coordinate_transformation_mode", "asymmetric");
  SetString(node, "nearest_mode", "floor");
  return node->output(0);
}

// Gemm takes matrices alone.
OnnxLayers::Result OnnxLayers::Project(const std::string& x, const std::string& weight,
                                       const std::string& bias) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string matrix, graph_->AddWeight(weight));
  DISTILLERY_ASSIGN_OR_RETURN(const std::string offset, graph_->AddWeight(bias));
  const std::string product = graph_->Add("MatMul", {x, Transpose(matrix, {1, 0})});
  return graph_->Add("Add", {product, offset});
}

// Queries, keys and values are [batch, heads, length, out / heads], scores [batch, heads, length,
// length].
OnnxLayers::Result OnnxLayers::Attention(const Layer& layer, const std::string& x) {
  const int64_t head = layer.out / layer.heads;
  DISTILLERY_ASSIGN_OR_RETURN(
      const std::string projected,
      Project(x, layer.name + ".in_proj_weight", layer.name + ".in_proj_bias"));
  // 0: that size of the input.
  const std::string all =
      Transpose(graph_->Add("Reshape", {projected, graph_->AddList({0, 0, 3, layer.heads, head})}),
                {2, 0, 3, 1, 4});
  const auto part = [&](int64_t number) {
    return graph_->Add("Gather", {all, graph_->AddInts({number}, {})});
  };
  const std::string query =
      graph_->Add("Mul", {part(0), graph_->AddFloat(1 / std::sqrt(static_cast<double>(head)))});
  std::string scores = graph_->Add("MatMul", {query, Transpose(part(1), {0, 1, 3, 2})});
  const auto show = [&](const std::string& where) {
    scores = graph_->Add("Where", {where, scores, graph_->AddFloat(kHiddenScore)});
  };
  if (layer.causal) show(Earlier(layer.length));
  if (!layer.mask.empty()) {
    show(graph_->Add("Unsqueeze", {Counts(layer), graph_->AddList({1, 2})}));
  }
  onnx::NodeProto* const softmax = graph_->AddNode("Softmax", {scores});
  SetInt(softmax, "axis", -1);
  const std::string weights = softmax->output(0);
  const std::string mixed = Transpose(graph_->Add("MatMul", {weights, part(2)}), {0, 2, 1, 3});
  return Project(graph_->Add("Reshape", {mixed, graph_->AddList({0, 0, layer.out})}),
                 layer.name + ".out_proj.weight", layer.name + ".out_proj.bias");
}

OnnxLayers::Result OnnxLayers::Gru(const Layer& layer, const std::string& x) {
  const auto turned = [&](const char* part, int64_t width) -> absl::StatusOr<std::vector<float>> {
    DISTILLERY_ASSIGN_OR_RETURN(
        const std::vector<float> values,
        graph_->WeightValues(absl::StrCat(layer.name, ".", part, "_l", layer.number)));
    return OnnxGates(values, layer.out, width);
  };
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<float> input, turned("weight_ih", layer.in));
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<float> recurrent, turned("weight_hh", layer.out));
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<float> bias, turned("bias_ih", 1));
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<float> recurrent_bias, turned("bias_hh", 1));
  bias.insert(bias.end(), recurrent_bias.begin(), recurrent_bias.end());
  const int64_t gates = 3 * layer.out;
  // The first size of each is the number of directions.
  onnx::NodeProto* const node = graph_->AddNode(
      "GRU", {Transpose(x, {1, 0, 2}), graph_->AddFloats(input, {1, gates, layer.in}),
              graph_->AddFloats(recurrent, {1, gates, layer.out}),
              graph_->AddFloats(bias, {1, 2 * gates})});
  SetInt(node, "hidden_size", layer.out);
  SetInt(node, "linear_before_reset", 1);
  // [length, directions, batch, out]
  const std::string states = node->output(0);
  return Transpose(graph_->Add("Squeeze", {states, graph_->AddList({1})}), {1, 0, 2});
}

OnnxLayers::Result OnnxLayers::MeanPosition(const Layer& layer, const std::string& x) {
  if (layer.mask.empty()) return Reduce("ReduceMean", x, 1, false);
  const std::string counts = graph_->Add(
      "Unsqueeze", {Cast(Counts(layer), onnx::TensorProto::FLOAT), graph_->AddList({-1})});
  const std::string sum = Reduce("ReduceSum", graph_->Add("Mul", {x, counts}), 1, false);
  const std::string count =
      graph_->Add("Max", {Reduce("ReduceSum", counts, 1, false), graph_->AddFloat(1)});
  return graph_->Add("Div", {sum, count});
}

OnnxLayers::Result OnnxLayers::LastPosition(const Layer& layer, const std::string& x) {
  if (layer.mask.empty()) {
    onnx::NodeProto* const node =
        graph_->AddNode("Gather", {x, graph_->AddInts({layer.length - 1}, {})});
    SetInt(node, "axis", 1);
    return node->output(0);
  }
  std::vector<int64_t> numbers(static_cast<size_t>(layer.length));
  std::iota(numbers.begin(), numbers.end(), 0);
  const std::string places = graph_->AddList(numbers);
  const std::string counted =
      graph_->Add("Mul", {Cast(Counts(layer), onnx::TensorProto::INT64), places});
  const std::string is_last = graph_->Add("Equal", {places, Reduce("ReduceMax", counted, 1, true)});
  const std::string share =
      graph_->Add("Unsqueeze", {Cast(is_last, onnx::TensorProto::FLOAT), graph_->AddList({-1})});
  return Reduce("ReduceSum", graph_->Add("Mul", {x, share}), 1, false);
}

std::string OnnxLayers::Earlier(int64_t length) {
  std::string& name = earlier_[length];
  if (!name.empty()) return name;
  std::vector<bool> seen;
  for (int64_t i = 0; i < length; ++i) {
    for (int64_t j = 0; j < length; ++j) seen.push_back(j <= i);
  }
  return name = graph_->AddBools(seen, {length, length});
}

std::string OnnxLayers::Cast(const std::string& x, onnx::TensorProto::DataType type) {
  onnx::NodeProto* const node = graph_->AddNode("Cast", {x});
  SetInt(node, "to", type);
  return node->output(0);
}

std::string OnnxLayers::Transpose(const std::string& x, const std::vector<int64_t>& order) {
  onnx::NodeProto* const node = graph_->AddNode("Transpose", {x});
  SetInts(node, "perm", order);
  return node->output(0);
}

std::string OnnxLayers::Reduce(const std::string& type, const std::string& x, int64_t axis,
                               bool keep) {
  // ReduceSum has its axes as an input since opset 13, the others since 18.
  const bool as_input = type == "ReduceSum";
  onnx::NodeProto* const node =
      as_input ? graph_->AddNode(type, {x, graph_->AddList({axis})}) : graph_->AddNode(type, {x});
  if (!as_input) SetInts(node, "axes", {axis});
  SetInt(node, "keepdims", keep ? 1 : 0);
  return node->output(0);
}

std::string OnnxLayers::Counts(const Layer& layer) {
  return Cast(Value(layer.mask), onnx::TensorProto::BOOL);
}

}  // namespace distillery

#include "tests/golden/onnx_evaluator.h"

#include <functional>
#include <stdexcept>
#include <vector>

namespace distillery {
namespace {

at::Tensor TensorOf(const onnx::TensorProto& proto) {
  const std::vector<int64_t> shape(proto.dims().begin(), proto.dims().end());
  const at::ScalarType type = proto.data_type() == onnx::TensorProto::FLOAT   ? at::kFloat
                              : proto.data_type() == onnx::TensorProto::INT64 ? at::kLong
                                                                              : at::kBool;
  std::string bytes = proto.raw_data();
  at::Tensor tensor = at::from_blob(bytes.data(), shape, type).clone();
  if (tensor.nbytes() != bytes.size()) throw std::runtime_error("tensor of another size");
  return tensor;
}

// One node, of which each attribute must be asked for.
class Node {
 public:
  Node(const onnx::NodeProto& proto, const std::map<std::string, at::Tensor>& values)
      : proto_(proto) {
    for (const std::string& input : proto.input()) {
      inputs_.push_back(input.empty() ? at::Tensor() : values.at(input));
    }
  }
  const at::Tensor& operator[](size_t i) const { return inputs_.at(i); }
  size_t size() const { return inputs_.size(); }
  int64_t Int(const std::string& name, int64_t otherwise) {
    const onnx::AttributeProto* const found = Find(name);
    return found == nullptr ? otherwise : found->i();
  }
  double Float(const std::string& name) { return Find(name)->f(); }
  std::string String(const std::string& name) { return Find(name)->s(); }
  std::vector<int64_t> Ints(const std::string& name) {
    const onnx::AttributeProto* const found = Find(name);
    return {found->ints().begin(), found->ints().end()};
  }
  std::vector<int64_t> List(size_t input) const {
    const at::Tensor list = inputs_.at(input);
    return {list.data_ptr<int64_t>(), list.data_ptr<int64_t>() + list.numel()};
  }
  void CheckAllRead() const {
    if (read_ == proto_.attribute_size()) return;
    throw std::runtime_error(proto_.op_type() + " has an attribute that is not known here");
  }

 private:
  const onnx::AttributeProto* Find(const std::string& name) {
    for (const onnx::AttributeProto& attribute : proto_.attribute()) {
      if (attribute.name() != name) continue;
      ++read_;
      return &attribute;
    }
    return nullptr;
  }
  const onnx::NodeProto& proto_;
  std::vector<at::Tensor> inputs_;
  int read_ = 0;
};

at::Tensor Reshape(const Node& node) {
  std::vector<int64_t> sizes = node.List(1);
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) sizes[i] = node[0].size(static_cast<int64_t>(i));
  }
  return node[0].reshape(sizes);
}

at::Tensor Gather(Node& node) {
  const int64_t axis = node.Int("axis", 0);
  const at::Tensor indices = node[1];
  std::vector<int64_t> sizes = node[0].sizes().vec();
  sizes.erase(sizes.begin() + axis);
  sizes.insert(sizes.begin() + axis, indices.sizes().begin(), indices.sizes().end());
  return node[0].index_select(axis, indices.flatten()).reshape(sizes);
}

at::Tensor Unsqueeze(const Node& node) {
  at::Tensor x = node[0];
  // In ascending order, so that each is one of the result.
  for (const int64_t axis : node.List(1)) x = x.unsqueeze(axis);
  return x;
}

at::Tensor Cast(Node& node) {
  const int64_t type = node.Int("to", 0);
  return node[0].to(type == onnx::TensorProto::FLOAT   ? at::kFloat
                    : type == onnx::TensorProto::INT64 ? at::kLong
                                                       : at::kBool);
}

at::Tensor Resize(Node& node) {
  if (node.String("mode") != "nearest" || node.String("nearest_mode") != "floor" ||
      node.String("coordinate_transformation_mode") != "asymmetric") {
    throw std::runtime_error("Resize in another mode");
  }
  at::Tensor x = node[0];
  for (int64_t axis = 0; axis < x.dim(); ++axis) {
    const double scale = node[2][axis].item<double>();
    const auto size = static_cast<int64_t>(static_cast<double>(x.size(axis)) * scale);
    const at::Tensor places = torch::arange(size, at::kDouble) / scale;
    x = x.index_select(axis, places.floor().to(at::kLong));
  }
  return x;
}

// One direction of linear_before_reset: X [length, batch, in], W [1, 3h, in], R [1, 3h, h], B [1,
// 6h], gates update, reset, hidden; all states [length, 1, batch, h].
at::Tensor Gru(Node& node) {
  const int64_t h = node.Int("hidden_size", 0);
  if (node.Int("linear_before_reset", 0) != 1) throw std::runtime_error("GRU of another form");
  const at::Tensor x = node[0];
  const at::Tensor w = node[1][0];
  const at::Tensor r = node[2][0];
  const at::Tensor b = node[3][0];
  at::Tensor state = torch::zeros({x.size(1), h});
  std::vector<at::Tensor> states;
  for (int64_t t = 0; t < x.size(0); ++t) {
    const auto from_input = [&](int64_t gate) {
      return x[t].matmul(w.narrow(0, gate * h, h).t()) + b.narrow(0, gate * h, h);
    };
    const auto from_state = [&](int64_t gate) {
      return state.matmul(r.narrow(0, gate * h, h).t()) + b.narrow(0, (3 + gate) * h, h);
    };
    const at::Tensor update = (from_input(0) + from_state(0)).sigmoid();
    const at::Tensor reset = (from_input(1) + from_state(1)).sigmoid();
    const at::Tensor hidden = (from_input(2) + reset * from_state(2)).tanh();
    state = (1 - update) * hidden + update * state;
    states.push_back(state.unsqueeze(0));
  }
  return torch::stack(states);
}

std::vector<int64_t> Twice(std::vector<int64_t> list) {
  const std::vector<int64_t> once = list;
  list.insert(list.end(), once.begin(), once.end());
  return list;
}

at::Tensor MaxPool(Node& node) {
  const std::vector<int64_t> kernel = node.Ints("kernel_shape");
  const std::vector<int64_t> strides = node.Ints("strides");
  return kernel.size() == 1 ? at::max_pool1d(node[0], kernel, strides)
                            : at::max_pool2d(node[0], kernel, strides);
}

at::Tensor Convolution(Node& node) {
  const std::vector<int64_t> pads = node.Ints("pads");
  const size_t sizes = node.Ints("kernel_shape").size();
  const std::vector<int64_t> starts(pads.begin(), pads.begin() + static_cast<int64_t>(sizes));
  if (pads != Twice(starts)) throw std::runtime_error("Conv with unlike pads");
  return at::convolution(node[0], node[1], node.size() > 2 ? node[2] : at::Tensor(),
                         node.Ints("strides"), starts, std::vector<int64_t>(sizes, 1),
                         /*transposed=*/false, std::vector<int64_t>(sizes, 0),
                         node.Int("group", 1));
}

at::Tensor Gemm(Node& node) {
  if (node.Int("transB", 0) != 1) throw std::runtime_error("Gemm of another form");
  return at::matmul(node[0], node[1].t()) + node[2];
}

at::Tensor ReduceSum(Node& node) { return node[0].sum(node.List(1), node.Int("keepdims", 1) != 0); }

using Operator = std::function<at::Tensor(Node&)>;

const std::map<std::string, Operator>& Operators() {
  static const auto* const operators = new std::map<std::string, Operator>{
      {"Add", [](Node& n) { return n[0] + n[1]; }},
      {"Sub", [](Node& n) { return n[0] - n[1]; }},
      {"Mul", [](Node& n) { return n[0] * n[1]; }},
      {"Div", [](Node& n) { return n[0] / n[1]; }},
      {"Max", [](Node& n) { return at::maximum(n[0], n[1]); }},
      {"Equal", [](Node& n) { return n[0].eq(n[1]); }},
      {"Where", [](Node& n) { return at::where(n[0], n[1], n[2]); }},
      {"Sqrt", [](Node& n) { return n[0].sqrt(); }},
      {"Erf", [](Node& n) { return n[0].erf(); }},
      {"Relu", [](Node& n) { return n[0].relu(); }},
      {"Clip", [](Node& n) { return at::clamp(n[0], n[1].item(), n[2].item()); }},
      {"Softmax", [](Node& n) { return n[0].softmax(n.Int("axis", -1)); }},
      {"MatMul", [](Node& n) { return at::matmul(n[0], n[1]); }},
      {"Flatten", [](Node& n) { return n[0].flatten(n.Int("axis", 1)); }},
      {"Transpose", [](Node& n) { return n[0].permute(n.Ints("perm")); }},
      {"Concat",
       [](Node& n) {
         return at::cat({n[0], n[1]}, n.Int("axis", 0));
       }},
      {"Squeeze", [](Node& n) { return n[0].squeeze(n.List(1).at(0)); }},
      {"MaxPool", MaxPool},
      {"GlobalAveragePool",
       [](Node& n) {
         return n[0].mean({2, 3}, /*keepdim=*/true);
       }},
      {"BatchNormalization",
       [](Node& n) {
         return at::batch_norm(n[0], n[1], n[2], n[3], n[4], false, 0, n.Float("epsilon"), false);
       }},
      {"ReduceMean", [](Node& n) { return n[0].mean(n.Ints("axes"), n.Int("keepdims", 1) != 0); }},
      {"ReduceMax", [](Node& n) { return n[0].amax(n.Ints("axes"), n.Int("keepdims", 1) != 0); }},
      {"ReduceSum", ReduceSum},
      {"Reshape", Reshape},
      {"Gather", Gather},
      {"Unsqueeze", Unsqueeze},
      {"Cast", Cast},
      {"Resize", Resize},
      {"GRU", Gru},
      {"Conv", Convolution},
      {"Gemm", Gemm},
  };
  return *operators;
}

}  // namespace

at::Tensor EvaluateOnnx(const onnx::GraphProto& graph,
                        const std::map<std::string, at::Tensor>& inputs) {
  const c10::InferenceMode inference;
  std::map<std::string, at::Tensor> values = inputs;
  for (const onnx::TensorProto& constant : graph.initializer()) {
    values[constant.name()] = TensorOf(constant);
  }
  for (const onnx::NodeProto& proto : graph.node()) {
    Node node(proto, values);
    const auto found = Operators().find(proto.op_type());
    if (found == Operators().end()) throw std::runtime_error("unknown operator " + proto.op_type());
    values[proto.output(0)] = found->second(node);
    node.CheckAllRead();
  }
  return values.at(graph.output(0).name());
}

}  // namespace distillery

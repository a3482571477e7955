#include "cli/models/onnx_graph.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

onnx::AttributeProto* AddAttribute(onnx::NodeProto* node, const std::string& name,
                                   onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto* const attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(type);
  return attribute;
}

absl::StatusOr<const TensorSpec*> Find(const Weights& weights, const std::string& name) {
  const TensorSpec* const tensor = weights.layout().Find(name);
  if (tensor != nullptr && tensor->type == ElementType::kFloat32) return tensor;
  return absl::FailedPreconditionError(
      absl::StrCat("weights: tensor \"", name, "\" is missing or not float32"));
}

}  // namespace

onnx::NodeProto* OnnxGraph::AddNode(const std::string& type,
                                    const std::vector<std::string>& inputs) {
  onnx::NodeProto* const node = graph_->add_node();
  node->set_op_type(type);
  node->set_name(absl::StrCat(type, graph_->node_size()));
  for (const std::string& input : inputs) node->add_input(input);
  node->add_output(Unused(absl::StrCat("x", graph_->node_size())));
  return node;
}

absl::StatusOr<std::string> OnnxGraph::AddWeight(const std::string& name) {
  const absl::StatusOr<const TensorSpec*> tensor = Find(weights_, name);
  if (!tensor.ok()) return tensor.status();
  onnx::TensorProto* const value = graph_->add_initializer();
  value->set_name(Unused(name));
  value->set_data_type(onnx::TensorProto::FLOAT);
  for (const int64_t size : (*tensor)->shape) value->add_dims(size);
  const absl::string_view bytes = weights_.Bytes(**tensor);
  value->set_raw_data(bytes.data(), bytes.size());
  return value->name();
}

absl::StatusOr<std::vector<float>> OnnxGraph::WeightValues(const std::string& name) const {
  const absl::StatusOr<const TensorSpec*> tensor = Find(weights_, name);
  if (!tensor.ok()) return tensor.status();
  const absl::string_view bytes = weights_.Bytes(**tensor);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::string OnnxGraph::AddFloats(const std::vector<float>& values,
                                 const std::vector<int64_t>& shape) {
  onnx::TensorProto* const constant = AddConstant(onnx::TensorProto::FLOAT, shape);
  constant->set_raw_data(values.data(), values.size() * sizeof(float));
  return constant->name();
}

std::string OnnxGraph::AddInts(const std::vector<int64_t>& values,
                               const std::vector<int64_t>& shape) {
  onnx::TensorProto* const constant = AddConstant(onnx::TensorProto::INT64, shape);
  constant->set_raw_data(values.data(), values.size() * sizeof(int64_t));
  return constant->name();
}

std::string OnnxGraph::AddBools(const std::vector<bool>& values,
                                const std::vector<int64_t>& shape) {
  onnx::TensorProto* const constant = AddConstant(onnx::TensorProto::BOOL, shape);
  constant->set_raw_data(std::string(values.begin(), values.end()));
  return constant->name();
}

onnx::TensorProto* OnnxGraph::AddConstant(int32_t type, const std::vector<int64_t>& shape) {
  onnx::TensorProto* const constant = graph_->add_initializer();
  constant->set_name(Unused(absl::StrCat("constant", graph_->initializer_size())));
  constant->set_data_type(type);
  for (const int64_t size : shape) constant->add_dims(size);
  return constant;
}

std::string OnnxGraph::Unused(std::string name) {
  while (!taken_.insert(name).second) name += "_";
  return name;
}

void SetInts(onnx::NodeProto* node, const std::string& name, const std::vector<int64_t>& values) {
  onnx::AttributeProto* const attribute = AddAttribute(node, name, onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute->add_ints(value);
}

void SetInt(onnx::NodeProto* node, const std::string& name, int64_t value) {
  AddAttribute(node, name, onnx::AttributeProto::INT)->set_i(value);
}

void SetFloat(onnx::NodeProto* node, const std::string& name, double value) {
  AddAttribute(node, name, onnx::AttributeProto::FLOAT)->set_f(static_cast<float>(value));
}

void SetString(onnx::NodeProto* node, const std::string& name, const std::string& value) {
  AddAttribute(node, name, onnx::AttributeProto::STRING)->set_s(value);
}

}  // namespace distillery

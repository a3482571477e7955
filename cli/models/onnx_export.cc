#include "cli/models/onnx_export.h"

#include <onnx/onnx_pb.h>

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/model/architecture_plan.h"

namespace distillery {
namespace {

constexpr int kIrVersion = 7;
constexpr int kOpset = 13;

void SetInts(onnx::NodeProto* node, const std::string& name, const std::vector<int64_t>& values) {
  onnx::AttributeProto* const attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute->add_ints(value);
}

void SetInt(onnx::NodeProto* node, const std::string& name, int64_t value) {
  onnx::AttributeProto* const attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(value);
}

void SetFloat(onnx::NodeProto* node, const std::string& name, double value) {
  onnx::AttributeProto* const attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::FLOAT);
  attribute->set_f(static_cast<float>(value));
}

// A node per layer, which takes the last value that has the name of the layer's input.
class GraphBuilder {
 public:
  GraphBuilder(onnx::GraphProto* graph, const Weights& weights)
      : graph_(graph), weights_(weights) {}

  absl::Status Add(const Layer& layer) {
    switch (layer.kind) {
      case Layer::Kind::kDropout:  // in training alone
        values_[layer.output] = Value(layer.input);
        return absl::OkStatus();
      case Layer::Kind::kRelu:
        AddNode(layer, "Relu");
        return absl::OkStatus();
      case Layer::Kind::kGlobalAveragePool:
        AddNode(layer, "GlobalAveragePool");
        return absl::OkStatus();
      case Layer::Kind::kFlatten:
        SetInt(AddNode(layer, "Flatten"), "axis", 1);
        return absl::OkStatus();
      case Layer::Kind::kAdd: {
        const std::string addend = Value(layer.addend);
        AddNode(layer, "Add")->add_input(addend);
        return absl::OkStatus();
      }
      case Layer::Kind::kMaxPool: {
        onnx::NodeProto* const node = AddNode(layer, "MaxPool");
        SetInts(node, "kernel_shape", {2, 2});
        SetInts(node, "strides", {2, 2});
        return absl::OkStatus();
      }
      case Layer::Kind::kLinear: {
        onnx::NodeProto* const node = AddNode(layer, "Gemm");
        SetInt(node, "transB", 1);
        return AddTensors(node, layer, {"weight", "bias"});
      }
      case Layer::Kind::kConvolution: {
        onnx::NodeProto* const node = AddNode(layer, "Conv");
        SetInts(node, "kernel_shape", {layer.kernel, layer.kernel});
        SetInts(node, "strides", {layer.stride, layer.stride});
        SetInts(node, "pads", std::vector<int64_t>(4, layer.padding));
        if (!layer.bias) return AddTensors(node, layer, {"weight"});
        return AddTensors(node, layer, {"weight", "bias"});
      }
      case Layer::Kind::kBatchNorm: {
        onnx::NodeProto* const node = AddNode(layer, "BatchNormalization");
        SetFloat(node, "epsilon", kBatchNormEpsilon);
        return AddTensors(node, layer, {"weight", "bias", "running_mean", "running_var"});
      }
    }
    return absl::InternalError("unknown layer");
  }
  // The last node's output gets this name.
  void NameOutput(const std::string& name) {
    graph_->mutable_node(graph_->node_size() - 1)->set_output(0, name);
  }

 private:
  // The graph's name of a layer's value.
  std::string Value(const std::string& name) const { return values_.at(name); }
  onnx::NodeProto* AddNode(const Layer& layer, const std::string& type) {
    onnx::NodeProto* const node = graph_->add_node();
    node->set_op_type(type);
    node->set_name(absl::StrCat(type, graph_->node_size()));
    node->add_input(Value(layer.input));
    const std::string output = absl::StrCat("x", graph_->node_size());
    values_[layer.output] = output;
    node->add_output(output);
    return node;
  }
  absl::Status AddTensors(onnx::NodeProto* node, const Layer& layer,
                          const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
      const std::string name = absl::StrCat(layer.name, ".", part);
      const TensorSpec* const tensor = weights_.layout().Find(name);
      if (tensor == nullptr || tensor->type != ElementType::kFloat32) {
        return absl::FailedPreconditionError(
            absl::StrCat("weights: tensor \"", name, "\" is missing or not float32"));
      }
      onnx::TensorProto* const value = graph_->add_initializer();
      value->set_name(name);
      value->set_data_type(onnx::TensorProto::FLOAT);
      for (const int64_t size : tensor->shape) value->add_dims(size);
      const absl::string_view bytes = weights_.Bytes(*tensor);
      value->set_raw_data(bytes.data(), bytes.size());
      node->add_input(name);
    }
    return absl::OkStatus();
  }

  onnx::GraphProto* const graph_;
  const Weights& weights_;
  // What a layer's value is called in the graph now.
  std::map<std::string, std::string> values_{{"x", "input"}};
};

// A float tensor "name" [N, sizes ...].
void Describe(onnx::ValueInfoProto* value, const std::string& name,
              const std::vector<int64_t>& sizes) {
  value->set_name(name);
  onnx::TypeProto::Tensor* const type = value->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param("N");
  for (const int64_t size : sizes) type->mutable_shape()->add_dim()->set_dim_value(size);
}

}  // namespace

absl::StatusOr<std::string> SerializeOnnx(const std::string& architecture, const ModelCard& card,
                                          const Weights& weights) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Layer> layers,
                              PlanArchitecture(architecture, card.input_shape, card.class_count()));
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("distillery");
  model.add_opset_import()->set_version(kOpset);
  onnx::StringStringEntryProto* const entry = model.add_metadata_props();
  entry->set_key("distillery.json");
  entry->set_value(ModelCardToJson(card));
  onnx::GraphProto* const graph = model.mutable_graph();
  graph->set_name(architecture);
  Describe(graph->add_input(), "input", card.input_shape.ToVector());
  GraphBuilder builder(graph, weights);
  for (const Layer& layer : layers) DISTILLERY_RETURN_IF_ERROR(builder.Add(layer));
  builder.NameOutput("logits");
  Describe(graph->add_output(), "logits", {card.class_count()});
  std::string bytes;
  if (!model.SerializeToString(&bytes)) {
    return absl::ResourceExhaustedError("the model is over ONNX's limit of 2 GiB");
  }
  return bytes;
}

}  // namespace distillery

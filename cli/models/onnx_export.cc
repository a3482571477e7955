#include "cli/models/onnx_export.h"

#include <map>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/models/onnx_graph.h"
#include "cli/models/onnx_layers.h"
#include "common/base/status_macros.h"
#include "common/model/architecture_plan.h"
#include "common/model/plan_checks.h"

namespace distillery {
namespace {

constexpr int kIrVersion = 7;
constexpr int kOpset = 13;
constexpr char kOutput[] = "logits";

onnx::TensorProto::DataType TypeOf(const InputSpec& input) {
  const bool whole = !input.is_picture() && input.type != ElementType::kFloat32 &&
                     input.type != ElementType::kFloat16;
  return whole ? onnx::TensorProto::INT64 : onnx::TensorProto::FLOAT;
}

// A tensor "name" [N, sizes ...].
void Describe(onnx::ValueInfoProto* value, const std::string& name,
              onnx::TensorProto::DataType type, const std::vector<int64_t>& sizes) {
  value->set_name(name);
  onnx::TypeProto::Tensor* const tensor = value->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  tensor->mutable_shape()->add_dim()->set_dim_param("N");
  for (const int64_t size : sizes) tensor->mutable_shape()->add_dim()->set_dim_value(size);
}

}  // namespace

absl::StatusOr<std::string> SerializeOnnx(const std::string& architecture, const SampleSpec& spec,
                                          int64_t answers, const std::string& card,
                                          const Weights& weights) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Layer> layers,
                              PlanArchitecture(architecture, spec, answers));
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("distillery");
  model.add_opset_import()->set_version(kOpset);
  onnx::StringStringEntryProto* const entry = model.add_metadata_props();
  entry->set_key("distillery.json");
  entry->set_value(card);
  onnx::GraphProto* const graph = model.mutable_graph();
  graph->set_name(architecture);
  const std::vector<std::string> values = InputValues(spec);
  std::map<std::string, std::string> inputs;
  std::set<std::string> taken{kOutput};
  for (size_t i = 0; i < values.size(); ++i) {
    const InputSpec& input = spec.inputs[i];
    const std::string name = spec.is_picture() ? "input" : input.name;
    if (!taken.insert(name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("an ONNX model cannot have an input of the name ", name,
                       ", which is its output's: give the data's input another"));
    }
    inputs[values[i]] = name;
    Describe(graph->add_input(), name, TypeOf(input), input.shape);
  }
  OnnxGraph nodes(graph, weights, std::move(taken));
  OnnxLayers writer(&nodes, std::move(inputs));
  for (const Layer& layer : layers) DISTILLERY_RETURN_IF_ERROR(writer.Add(layer));
  graph->mutable_node(graph->node_size() - 1)->set_output(0, kOutput);
  std::vector<int64_t> sizes = spec.answer.positions;
  sizes.push_back(answers);
  Describe(graph->add_output(), kOutput, onnx::TensorProto::FLOAT, sizes);
  std::string bytes;
  if (!model.SerializeToString(&bytes)) {
    return absl::ResourceExhaustedError("the model is over ONNX's limit of 2 GiB");
  }
  return bytes;
}

}  // namespace distillery

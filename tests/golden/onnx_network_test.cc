// The built-in networks as ONNX models: accepted by ONNX's own checker, and with PyTorch's logits
// where each operator is computed as its specification says.
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <set>

#include "cli/models/onnx_export.h"
#include "common/nn/architecture.h"
#include "common/nn/module_weights.h"
#include "tests/common/status_matchers.h"
#include "tests/golden/known_network.h"
#include "tests/golden/onnx_evaluator.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

onnx::ModelProto Parse(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  return model;
}

// Types and shapes too, of every value; throws what is wrong.
void CheckModel(onnx::ModelProto model) {
  onnx::checker::check_model(model);
  onnx::shape_inference::InferShapes(model, onnx::OpSchemaRegistry::Instance(),
                                     onnx::ShapeInferenceOptions(true, 1, true));
}

std::set<std::string> UnusedConstants(const onnx::GraphProto& graph) {
  std::set<std::string> names;
  for (const onnx::TensorProto& constant : graph.initializer()) names.insert(constant.name());
  for (const onnx::NodeProto& node : graph.node()) {
    for (const std::string& input : node.input()) names.erase(input);
  }
  return names;
}

class GoldenOnnxNetworks : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenOnnxNetworks, EqualPyTorchInEachOfTheirUses) {
  const nlohmann::json golden = ReadGolden(GetParam());
  const int64_t rows = golden.at("rows");
  for (const nlohmann::json& one : golden.at("cases")) {
    const SampleSpec spec = SpecOfCase(one);
    const std::string architecture = one.at("architecture");
    SCOPED_TRACE(architecture + " on " + spec.ToString());
    const int64_t answers = one.at("answers");
    ASSERT_OK_AND_ASSIGN(const auto module, BuildArchitecture(architecture, spec, answers, 1));
    const KnownNetwork network(module, at::kFloat);
    ASSERT_OK_AND_ASSIGN(const Weights weights, WeightsOf(module));
    ASSERT_OK_AND_ASSIGN(const std::string bytes,
                         SerializeOnnx(architecture, spec, answers, "{}", weights));
    const onnx::ModelProto model = Parse(bytes);
    ASSERT_NO_THROW(CheckModel(model));
    EXPECT_THAT(UnusedConstants(model.graph()), ::testing::IsEmpty());

    const std::vector<at::Tensor> tensors = KnownInputs(spec, rows, at::kFloat);
    std::map<std::string, at::Tensor> inputs;
    for (size_t i = 0; i < tensors.size(); ++i) inputs[spec.inputs[i].name] = tensors[i];
    const at::Tensor logits = EvaluateOnnx(model.graph(), inputs);
    std::vector<int64_t> shape{rows};
    const auto& sizes = model.graph().output(0).type().tensor_type().shape();
    for (int i = 1; i < sizes.dim_size(); ++i) shape.push_back(sizes.dim(i).dim_value());
    EXPECT_EQ(logits.sizes().vec(), shape);
    GoldenComparison(at::kFloat).ExpectSummary("logits", logits, one.at("logits_in_evaluation"));
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenOnnxNetworks,
                         ::testing::Values("sample_networks.json", "small_networks.json"),
                         [](const ::testing::TestParamInfo<const char*>& info) {
                           const std::string file = info.param;
                           return file.substr(0, file.find('.'));
                         });

SampleSpec Table(const std::vector<std::string>& names) {
  SampleSpec spec;
  for (const std::string& name : names) {
    spec.inputs.push_back({name, ElementType::kFloat32, {2}, 0, 0});
  }
  return spec;
}

absl::StatusOr<std::string> ExportTable(const SampleSpec& spec) {
  const std::string architecture = "mlp:" + std::to_string(2 * spec.inputs.size()) + "-3-2";
  const Weights weights = *WeightsOf(*BuildArchitecture(architecture, spec, 2, 1));
  return SerializeOnnx(architecture, spec, 2, "{}", weights);
}

TEST(GoldenOnnxNetwork, AnInputMayHaveTheNameOfAnythingButTheOutput) {
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ExportTable(Table({"x1", "fc1.weight", "x3"})));
  const onnx::ModelProto model = Parse(bytes);
  ASSERT_NO_THROW(CheckModel(model));
  EXPECT_EQ(model.graph().input(1).name(), "fc1.weight");
  EXPECT_THAT(ExportTable(Table({"logits"})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name logits")));
}

}  // namespace
}  // namespace distillery

#include "common/model/architecture.h"

#include <cmath>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/model/architecture_plan.h"
#include "common/model/numerics.h"

namespace distillery {
namespace {

// Collects layers and the TorchScript source that calls them.
class ModuleBuilder {
 public:
  explicit ModuleBuilder(int64_t seed)
      : seed_(seed), unit_(std::make_shared<torch::jit::CompilationUnit>()), root_(New("Student")) {}

  void Add(const Layer& layer) {
    switch (layer.kind) {
      case Layer::Kind::kFlatten: return Line("x = torch.flatten(x, 1)");
      case Layer::Kind::kRelu: return Line("x = torch.relu(x)");
      case Layer::Kind::kMaxPool: return Line("x = torch.max_pool2d(x, [2, 2])");
      case Layer::Kind::kDropout:
        return Line(absl::StrCat("x = torch.dropout(x, ", layer.rate, ", self.training)"));
      case Layer::Kind::kLinear:
        AddParameters(layer.name, {layer.out, layer.in}, layer.in);
        return Line(absl::StrCat("x = torch.linear(x, self.", layer.name, ".weight, self.",
                                 layer.name, ".bias)"));
      case Layer::Kind::kConvolution:
        AddParameters(layer.name, {layer.out, layer.in, layer.kernel, layer.kernel},
                      layer.in * layer.kernel * layer.kernel);
        return Line(absl::StrCat("x = torch.conv2d(x, self.", layer.name, ".weight, self.",
                                 layer.name, ".bias, [1, 1], [", layer.padding, ", ",
                                 layer.padding, "])"));
    }
  }

  torch::jit::Module Finish() {
    root_.define(absl::StrCat("def forward(self, x: Tensor) -> Tensor:\n", source_,
                              "    return x\n"));
    root_.train();
    return root_;
  }

 private:
  void Line(const std::string& text) { absl::StrAppend(&source_, "    ", text, "\n"); }

  torch::jit::Module New(const std::string& class_name) {
    torch::jit::Module module(c10::QualifiedName(absl::StrCat("__torch__.distillery.", class_name)),
                              unit_, /*shouldMangle=*/true);
    // Without this attribute train() and eval() would be ignored.
    module.register_attribute("training", c10::BoolType::get(), true);
    return module;
  }

  void AddParameters(const std::string& name, const std::vector<int64_t>& shape, int64_t fan_in) {
    torch::jit::Module layer = New("Layer");
    const float bound = 1.0F / std::sqrt(static_cast<float>(fan_in));
    layer.register_parameter("weight", Seeded(name + ".weight", shape, bound), false);
    layer.register_parameter("bias", Seeded(name + ".bias", {shape[0]}, bound), false);
    root_.register_module(name, layer);
  }

  at::Tensor Seeded(const std::string& name, const std::vector<int64_t>& shape, float bound) {
    at::Tensor tensor = torch::empty(shape, torch::kFloat32);
    RandomStream random(seed_, absl::StrCat("initialise ", name));
    auto* const values = tensor.data_ptr<float>();
    for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = (2 * random.Uniform() - 1) * bound;
    return tensor.set_requires_grad(true);
  }

  const int64_t seed_;
  const std::shared_ptr<torch::jit::CompilationUnit> unit_;
  torch::jit::Module root_;
  std::string source_;
};

}  // namespace

absl::StatusOr<torch::jit::Module> BuildArchitecture(const std::string& architecture,
                                                     const ImageShape& input, int64_t class_count,
                                                     int64_t seed) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Layer> layers,
                              PlanArchitecture(architecture, input, class_count));
  absl::StatusOr<torch::jit::Module> module = absl::InternalError("not built");
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    ModuleBuilder builder(seed);
    for (const Layer& layer : layers) builder.Add(layer);
    module = builder.Finish();
    return absl::OkStatus();
  }));
  return module;
}

int64_t CountParameters(const torch::jit::Module& module) {
  int64_t count = 0;
  for (const at::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

}  // namespace distillery

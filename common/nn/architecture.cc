#include "common/nn/architecture.h"

#include <cmath>
#include <map>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/model/architecture_plan.h"
#include "common/model/initial_values.h"
#include "common/nn/numerics.h"
#include "common/nn/tied_parameters.h"

namespace distillery {
namespace {

at::Tensor Parameter(const std::vector<int64_t>& shape) {
  return torch::empty(shape, torch::kFloat32);
}

// Collects layers and the TorchScript source that calls them.
class ModuleBuilder {
 public:
  explicit ModuleBuilder(std::optional<int64_t> seed)
      : seed_(seed),
        unit_(std::make_shared<torch::jit::CompilationUnit>()),
        root_(New("Student")) {}

  void Add(const Layer& layer) {
    const std::string& x = layer.input;
    const std::string path = Expression(layer.name);
    const auto give = [&](const std::string& value) {
      Line(absl::StrCat(layer.output, " = ", value));
    };
    switch (layer.kind) {
      case Layer::Kind::kFlatten:
        return give(absl::StrCat("torch.flatten(", x, ", 1)"));
      case Layer::Kind::kRelu:
        return give(absl::StrCat("torch.relu(", x, ")"));
      case Layer::Kind::kMaxPool:
        return give(absl::StrCat("torch.max_pool2d(", x, ", [2, 2])"));
      case Layer::Kind::kGlobalAveragePool:
        return give(absl::StrCat("torch.adaptive_avg_pool2d(", x, ", [1, 1])"));
      case Layer::Kind::kAdd:
        return give(absl::StrCat(x, " + ", layer.addend));
      case Layer::Kind::kDropout:
        return give(absl::StrCat("torch.dropout(", x, ", ", layer.rate, ", self.training)"));
      case Layer::Kind::kLinear:
        AddParameters(layer, {layer.out, layer.in});
        return give(absl::StrCat("torch.linear(", x, ", ", path, ".weight, ", path, ".bias)"));
      case Layer::Kind::kConvolution:
        AddParameters(layer, {layer.out, layer.in, layer.kernel, layer.kernel});
        return give(absl::StrCat("torch.conv2d(", x, ", ", path, ".weight, ",
                                 layer.bias ? path + ".bias" : "None", ", [", layer.stride, ", ",
                                 layer.stride, "], [", layer.padding, ", ", layer.padding, "])"));
      case Layer::Kind::kBatchNorm:
        AddBatchNorm(layer);
        // A user may put one layer in eval mode, so its own flag counts.
        Line(absl::StrCat("if ", path, ".training:"));
        Line(absl::StrCat("    ", path, ".num_batches_tracked.add_(1)"));
        return give(absl::StrCat("torch.batch_norm(", x, ", ", path, ".weight, ", path, ".bias, ",
                                 path, ".running_mean, ", path, ".running_var, ", path,
                                 ".training, ", kBatchNormMomentum, ", ", kBatchNormEpsilon,
                                 ", True)"));
    }
  }

  torch::jit::Module Finish() {
    root_.define(
        absl::StrCat("def forward(self, x: Tensor) -> Tensor:\n", source_, "    return x\n"));
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

  // layer1.0.conv1 as source: a number is no name there.
  static std::string Expression(const std::string& name) {
    std::string expression = "self";
    for (const absl::string_view part : absl::StrSplit(name, '.')) {
      const bool number = !part.empty() && absl::ascii_isdigit(static_cast<unsigned char>(part[0]));
      expression = number ? absl::StrCat("getattr(", expression, ", \"", part, "\")")
                          : absl::StrCat(expression, ".", part);
    }
    return expression;
  }

  // The module of that dotted name, made with those that hold it.
  torch::jit::Module ModuleAt(const std::string& name) {
    if (name.empty()) return root_;
    if (const auto made = modules_.find(name); made != modules_.end()) return made->second;
    const size_t dot = name.rfind('.');
    torch::jit::Module parent = ModuleAt(dot == std::string::npos ? "" : name.substr(0, dot));
    torch::jit::Module module = New("Layer");
    parent.register_module(dot == std::string::npos ? name : name.substr(dot + 1), module);
    modules_.emplace(name, module);
    return module;
  }

  void AddParameters(const Layer& layer, const std::vector<int64_t>& shape) {
    torch::jit::Module module = ModuleAt(layer.name);
    at::Tensor weight = Parameter(shape);
    if (!layer.bias) {
      const auto fan_out = static_cast<double>(layer.out * layer.kernel * layer.kernel);
      if (seed_.has_value()) {
        FillNormal(Stream(layer.name + ".weight"), std::sqrt(2 / fan_out), weight.data_ptr<float>(),
                   weight.numel());
      }
      return Register(module, "weight", weight);
    }
    const float bound = 1.0F / std::sqrt(static_cast<float>(weight[0].numel()));
    at::Tensor bias = Parameter({layer.out});
    if (seed_.has_value()) {
      FillUniform(Stream(layer.name + ".weight"), bound, weight.data_ptr<float>(), weight.numel());
      FillUniform(Stream(layer.name + ".bias"), bound, bias.data_ptr<float>(), bias.numel());
    }
    Register(module, "weight", weight);
    Register(module, "bias", bias);
  }

  void AddBatchNorm(const Layer& layer) {
    torch::jit::Module module = ModuleAt(layer.name);
    Register(module, "weight", Parameter({layer.out}).fill_(1));
    Register(module, "bias", Parameter({layer.out}).zero_());
    module.register_buffer("running_mean", torch::zeros({layer.out}));
    module.register_buffer("running_var", torch::ones({layer.out}));
    module.register_buffer("num_batches_tracked", torch::zeros({}, torch::kInt64));
  }

  static void Register(torch::jit::Module& module, const std::string& name, at::Tensor value) {
    module.register_parameter(name, value.set_requires_grad(true), /*is_buffer=*/false);
  }

  RandomStream Stream(const std::string& parameter) const {
    return RandomStream(*seed_, absl::StrCat("initialise ", parameter));
  }

  // Empty: nothing is drawn.
  const std::optional<int64_t> seed_;
  const std::shared_ptr<torch::jit::CompilationUnit> unit_;
  torch::jit::Module root_;
  // By dotted name.
  std::map<std::string, torch::jit::Module> modules_;
  std::string source_;
};

}  // namespace

absl::StatusOr<torch::jit::Module> BuildArchitecture(const std::string& architecture,
                                                     const ImageShape& input, int64_t class_count,
                                                     std::optional<int64_t> seed) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Layer> layers,
                              PlanArchitecture(architecture, input, class_count));
  return BuildLayers(layers, seed);
}

absl::StatusOr<torch::jit::Module> BuildLayers(const std::vector<Layer>& layers,
                                               std::optional<int64_t> seed) {
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
  if (module.hasattr(kInt8ParameterCount)) return module.attr(kInt8ParameterCount).toInt();
  int64_t count = 0;
  for (const auto& [name, parameter] : DistinctParameters(module)) count += parameter.numel();
  return count;
}

int64_t CountFrozenParameters(const torch::jit::Module& module) {
  int64_t count = 0;
  for (const auto& [name, parameter] : DistinctParameters(module)) {
    if (!parameter.requires_grad()) count += parameter.numel();
  }
  return count;
}

}  // namespace distillery

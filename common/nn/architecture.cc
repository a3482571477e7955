#include "common/nn/architecture.h"

#include <map>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/model/architecture_plan.h"
#include "common/model/initial_values.h"
#include "common/model/layer_tensors.h"
#include "common/model/plan_checks.h"
#include "common/nn/layer_source.h"
#include "common/nn/numerics.h"
#include "common/nn/tied_parameters.h"

namespace distillery {
namespace {

// Collects layers and the TorchScript source that calls them.
class ModuleBuilder {
 public:
  explicit ModuleBuilder(std::optional<int64_t> seed)
      : seed_(seed),
        unit_(std::make_shared<torch::jit::CompilationUnit>()),
        root_(New("Student")) {}

  void Add(const Layer& layer) {
    for (const LayerTensor& tensor : TensorsOf(layer)) {
      Register(absl::StrCat(layer.name, ".", tensor.part), tensor);
    }
    absl::StrAppend(&source_, LayerSource(layer));
  }

  // forward takes `inputs` by position.
  torch::jit::Module Finish(const std::vector<std::string>& inputs) {
    root_.define(absl::StrCat("def forward(self, ", absl::StrJoin(inputs, ": Tensor, "),
                              ": Tensor) -> Tensor:\n", source_, "    return x\n"));
    root_.train();
    return root_;
  }

 private:
  torch::jit::Module New(const std::string& class_name) {
    torch::jit::Module module(c10::QualifiedName(absl::StrCat("__torch__.distillery.", class_name)),
                              unit_, /*shouldMangle=*/true);
    // Without this attribute train() and eval() would be ignored.
    module.register_attribute("training", c10::BoolType::get(), true);
    return module;
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

  void Register(const std::string& name, const LayerTensor& tensor) {
    const size_t dot = name.rfind('.');
    torch::jit::Module module = ModuleAt(name.substr(0, dot));
    const std::string part = name.substr(dot + 1);
    const at::Tensor value = FirstValue(name, tensor);
    if (tensor.buffer) {
      module.register_buffer(part, value);
    } else {
      module.register_parameter(part, value.set_requires_grad(true), /*is_buffer=*/false);
    }
  }

  at::Tensor FirstValue(const std::string& name, const LayerTensor& tensor) const {
    if (tensor.start == LayerTensor::Start::kCount) return torch::zeros({}, torch::kInt64);
    at::Tensor value = torch::empty(tensor.shape, torch::kFloat32);
    if (tensor.start == LayerTensor::Start::kZeros) return value.zero_();
    if (tensor.start == LayerTensor::Start::kOnes) return value.fill_(1);
    if (!seed_.has_value()) return value;
    const RandomStream random(*seed_, absl::StrCat("initialise ", name));
    auto* const numbers = value.data_ptr<float>();
    if (tensor.start == LayerTensor::Start::kNormal) {
      FillNormal(random, tensor.scale, numbers, value.numel());
    } else {
      FillUniform(random, static_cast<float>(tensor.scale), numbers, value.numel());
    }
    return value;
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
                                                     const SampleSpec& spec, int64_t answers,
                                                     std::optional<int64_t> seed) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Layer> layers,
                              PlanArchitecture(architecture, spec, answers));
  return BuildLayers(layers, seed, InputValues(spec));
}

absl::StatusOr<torch::jit::Module> BuildArchitecture(const std::string& architecture,
                                                     const ImageShape& input, int64_t class_count,
                                                     std::optional<int64_t> seed) {
  return BuildArchitecture(architecture, SampleSpec::Pictures(input, 255), class_count, seed);
}

absl::StatusOr<torch::jit::Module> BuildLayers(const std::vector<Layer>& layers,
                                               std::optional<int64_t> seed,
                                               const std::vector<std::string>& inputs) {
  absl::StatusOr<torch::jit::Module> module = absl::InternalError("not built");
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    ModuleBuilder builder(seed);
    for (const Layer& layer : layers) builder.Add(layer);
    module = builder.Finish(inputs);
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

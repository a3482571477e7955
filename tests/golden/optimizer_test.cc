// FlatOptimizer against torch.optim.SGD, AdamW and clip_grad_norm_: the same gradients, five steps,
// after each the same weights.
#include <torch/script.h>

#include "student_worker/training/flat_parameters.h"
#include "tests/golden/golden_file.h"

namespace distillery {
namespace {

at::Tensor ToTensor(const nlohmann::json& json) {
  const std::vector<double> values = Flatten(json);
  const at::Tensor tensor = torch::tensor(values, torch::kFloat64).to(torch::kFloat32);
  return json[0].is_array() ? tensor.view({static_cast<int64_t>(json.size()), -1}) : tensor;
}

TEST(GoldenOptimizers, EqualPyTorchStepForStep) {
  const nlohmann::json golden = ReadGolden("sgd.json");
  // SGD with momentum 0 and 0.9, weight decay 0 and 1/16; Nesterov; clipping; AdamW twice;
  // max-norm.
  ASSERT_EQ(golden.at("cases").size(), 9U);
  for (const nlohmann::json& one : golden.at("cases")) {
    torch::jit::Module module("Weights");
    for (const auto& [name, values] : golden.at("start").items()) {
      module.register_parameter(name, ToTensor(values).requires_grad_(true), /*is_buffer=*/false);
    }
    OptimizerOptions options;
    if (one.at("optimizer") == "adamw") options.kind = OptimizerOptions::Kind::kAdamW;
    options.momentum = one.at("momentum").get<double>();
    options.nesterov = one.at("nesterov").get<bool>();
    options.weight_decay = one.at("weight_decay").get<double>();
    options.max_gradient_norm = one.at("max_gradient_norm").get<double>();
    options.max_weight_norm = one.at("max_weight_norm").get<double>();
    SCOPED_TRACE(::testing::Message()
                 << one.at("optimizer") << ", momentum " << options.momentum << ", decay "
                 << options.weight_decay << ", norm " << options.max_gradient_norm);
    absl::StatusOr<FlatOptimizer> optimizer = FlatOptimizer::Create(module, options);
    ASSERT_TRUE(optimizer.ok()) << optimizer.status();
    const nlohmann::json& rates = golden.at("learning_rates");
    ASSERT_EQ(rates.size(), 5U);
    for (size_t step = 0; step < rates.size(); ++step) {
      optimizer->ZeroGradients();
      for (const auto& parameter : module.named_parameters()) {
        // As backward does: the gradient is added to what is there.
        parameter.value.grad().add_(ToTensor(golden.at("gradients")[step].at(parameter.name)));
      }
      optimizer->Step(rates[step].get<double>());
      for (const auto& parameter : module.named_parameters()) {
        const at::Tensor expected = ToTensor(one.at("weights_after_step")[step].at(parameter.name));
        EXPECT_TRUE(at::allclose(parameter.value, expected, /*rtol=*/1e-6, /*atol=*/1e-7))
            << parameter.name << " after step " << step << ": " << parameter.value << expected;
      }
    }
    EXPECT_TRUE(optimizer->Finite());
  }
}

}  // namespace
}  // namespace distillery

#include "student_worker/training/flat_parameters.h"

#include "common/nn/architecture.h"
#include "common/nn/module_weights.h"
#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

torch::jit::Module OneParameter(const at::Tensor& value) {
  torch::jit::Module module("One");
  module.register_parameter("w", value.detach().set_requires_grad(true), /*is_buffer=*/false);
  return module;
}

OptimizerOptions Sgd(double momentum, double weight_decay) {
  OptimizerOptions options;
  options.momentum = momentum;
  options.weight_decay = weight_decay;
  return options;
}

TEST(FlatOptimizer, MovingIntoTheBufferKeepsTheWeights) {
  ASSERT_OK_AND_ASSIGN(torch::jit::Module module,
                       BuildArchitecture("lenet", ImageShape{1, 8, 8}, 10, 1));
  const std::string before = WeightsOf(module)->Sha256();
  ASSERT_OK_AND_ASSIGN(const FlatOptimizer optimizer, FlatOptimizer::Create(module, Sgd(0.9, 0)));
  EXPECT_EQ(WeightsOf(module)->Sha256(), before);
  // One storage holds them all.
  const void* const storage = (*module.parameters().begin()).storage().data();
  for (const at::Tensor& parameter : module.parameters()) {
    EXPECT_EQ(parameter.storage().data(), storage);
  }
}

TEST(FlatOptimizer, BackwardWritesIntoTheFlatGradients) {
  torch::jit::Module module = OneParameter(torch::tensor({2.0F, 3.0F}));
  ASSERT_OK_AND_ASSIGN(FlatOptimizer optimizer, FlatOptimizer::Create(module, Sgd(0, 0)));
  for (int step = 0; step < 2; ++step) {
    optimizer.ZeroGradients();
    // d/dw of sum w^2 = 2w, so each step of rate 1/4 halves the weights.
    module.attr("w").toTensor().square().sum().backward();
    optimizer.Step(0.25);
  }
  EXPECT_TRUE(at::equal(module.attr("w").toTensor().detach(), torch::tensor({0.5F, 0.75F})));
}

TEST(FlatOptimizer, MomentumAndDecayFollowTheFormula) {
  torch::jit::Module module = OneParameter(torch::tensor({1.0F}));
  ASSERT_OK_AND_ASSIGN(FlatOptimizer optimizer, FlatOptimizer::Create(module, Sgd(0.5, 0.25)));
  const at::Tensor w = module.attr("w").toTensor();
  w.mutable_grad().fill_(0.25);
  optimizer.Step(1);  // g = 0.25 + 0.25 * 1 = 0.5; b = 0.5; w = 1 - 0.5
  EXPECT_EQ(w.item<float>(), 0.5F);
  optimizer.ZeroGradients();
  optimizer.Step(0.5);  // g = 0 + 0.25 * 0.5 = 0.125; b = 0.25 + 0.125; w = 0.5 - 0.1875
  EXPECT_EQ(w.item<float>(), 0.3125F);
}

TEST(FlatOptimizer, FiniteSeesInfinityAndNaN) {
  torch::jit::Module module = OneParameter(torch::tensor({1.0F, 2.0F}));
  ASSERT_OK_AND_ASSIGN(FlatOptimizer optimizer, FlatOptimizer::Create(module, Sgd(0, 0)));
  EXPECT_TRUE(optimizer.Finite());
  module.attr("w").toTensor().mutable_grad().fill_(1e38);
  optimizer.Step(1e10);
  EXPECT_FALSE(optimizer.Finite());
}

TEST(FlatOptimizer, ParametersThatAreNotFloat32AreRefused) {
  torch::jit::Module module = OneParameter(torch::zeros({1}, torch::kFloat64));
  EXPECT_THAT(FlatOptimizer::Create(module, Sgd(0, 0)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"w\" is not float32")));
}

TEST(FlatOptimizer, AModuleWithoutParametersIsRefused) {
  torch::jit::Module module = BrightnessModule();
  EXPECT_THAT(FlatOptimizer::Create(module, Sgd(0, 0)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no trainable parameters")));
}

TEST(FlatOptimizer, FrozenParametersAreNotTouchedByAnything) {
  for (const auto kind : {OptimizerOptions::Kind::kSgd, OptimizerOptions::Kind::kAdamW}) {
    torch::jit::Module module = OneParameter(torch::tensor({{3.0F, 4.0F}}));
    const at::Tensor frozen = torch::tensor({{30.0F, 40.0F}});
    const at::Tensor table = torch::tensor({1, 2, 3}, torch::kInt8);
    module.register_parameter("frozen", frozen, /*is_buffer=*/false);
    module.register_parameter("table", table, /*is_buffer=*/false);
    OptimizerOptions options = Sgd(0.9, 0.5);
    options.kind = kind;
    options.max_weight_norm = 1;
    options.max_gradient_norm = 1;
    ASSERT_OK_AND_ASSIGN(FlatOptimizer optimizer, FlatOptimizer::Create(module, options));
    ASSERT_OK_AND_ASSIGN(const Weights before, WeightsOf(module));
    module.attr("w").toTensor().mutable_grad().fill_(1);
    for (int step = 0; step < 3; ++step) optimizer.Step(0.1);
    ASSERT_OK_AND_ASSIGN(const Weights after, WeightsOf(module));
    const std::vector<std::string> buffers = BufferNames(module);
    EXPECT_EQ(buffers, std::vector<std::string>{"table"});
    const Weights delta = Delta(before, after, buffers);
    const auto bytes = [&](const Weights& weights, const std::string& name) {
      return std::string(weights.Bytes(*weights.layout().Find(name)));
    };
    for (const char* const name : {"frozen", "table"}) {
      EXPECT_EQ(bytes(after, name), bytes(before, name)) << name;
    }
    EXPECT_EQ(bytes(delta, "frozen"), std::string(8, '\0'));
    EXPECT_EQ(bytes(delta, "table"), bytes(before, "table"));
    EXPECT_NE(bytes(after, "w"), bytes(before, "w"));
    // Its state is of what is trained alone.
    ASSERT_OK_AND_ASSIGN(const Weights state, optimizer.State());
    EXPECT_EQ(state.layout().Find("optimizer/first_moment")->element_count, 2);
  }
}

TEST(FlatOptimizer, AModuleWithFrozenParametersAloneIsRefused) {
  torch::jit::Module module("Frozen");
  module.register_parameter("w", torch::ones({2}), /*is_buffer=*/false);
  EXPECT_THAT(FlatOptimizer::Create(module, Sgd(0, 0)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no trainable parameters")));
}

}  // namespace
}  // namespace distillery

#include "common/nn/tied_parameters.h"

#include <sstream>

#include "common/nn/architecture.h"
#include "student_worker/training/flat_parameters.h"
#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

at::Tensor Trained(const at::Tensor& values) { return values.set_requires_grad(true); }

// "b" is "a" under another name; "free" is not.
torch::jit::Module TiedModule(const at::Tensor& a, const at::Tensor& b) {
  torch::jit::Module module("Tied");
  module.register_parameter("b", a, /*is_buffer=*/false);
  module.register_parameter("a", b, /*is_buffer=*/false);
  module.register_parameter("free", Trained(torch::ones({3})), /*is_buffer=*/false);
  return module;
}

torch::jit::Module TiedModule() {
  const at::Tensor weight = Trained(torch::tensor({{1.0F, 2.0F}, {3.0F, 4.0F}}));
  return TiedModule(weight, weight);
}

torch::jit::Module ThroughFile(const torch::jit::Module& module) {
  std::stringstream bytes;
  module.save(bytes);
  return torch::jit::load(bytes);
}

TEST(TiedParameters, HaveTheFirstOfTheirNamesAndAreCountedOnce) {
  const torch::jit::Module module = TiedModule();
  EXPECT_THAT(TiesOf(module), ElementsAre(Pair("b", "a")));
  EXPECT_EQ(CountParameters(module), 4 + 3);
  EXPECT_EQ(CountFrozenParameters(module), 0);
  EXPECT_THAT(CheckSharedMemory(module), IsOk());
  EXPECT_EQ(WeightsOf(module)->layout().tensors().size(), 3U);
}

TEST(TiedParameters, AFileKeepsThem) {
  const torch::jit::Module module = ThroughFile(TiedModule());
  EXPECT_THAT(TiesOf(module), ElementsAre(Pair("b", "a")));
  EXPECT_EQ(CountParameters(module), 4 + 3);
}

TEST(TiedParameters, OneMemoryInTwoObjectsBecomesOne) {
  const at::Tensor weight = torch::tensor({1.0F, 2.0F});
  torch::jit::Module module = TiedModule(Trained(weight.detach()), Trained(weight.detach()));
  EXPECT_THAT(TiesOf(module), ElementsAre(Pair("b", "a")));
  ASSERT_FALSE(module.attr("a").toTensor().is_same(module.attr("b").toTensor()));
  UniteTies(module);
  EXPECT_TRUE(module.attr("a").toTensor().is_same(module.attr("b").toTensor()));
  EXPECT_FALSE(module.attr("a").toTensor().is_same(module.attr("free").toTensor()));
}

TEST(TiedParameters, InSubmodulesBecomeOneToo) {
  const at::Tensor weight = torch::tensor({1.0F, 2.0F});
  torch::jit::Module root("Root");
  for (const char* const name : {"first", "second"}) {
    torch::jit::Module part(name);
    part.register_parameter("weight", Trained(weight.detach()), /*is_buffer=*/false);
    root.register_module(name, part);
  }
  UniteTies(root);
  EXPECT_THAT(TiesOf(root), ElementsAre(Pair("second.weight", "first.weight")));
  EXPECT_TRUE(root.attr("first").toModule().attr("weight").toTensor().is_same(
      root.attr("second").toModule().attr("weight").toTensor()));
}

TEST(TiedParameters, AreTrainedOnceByTheGradientsOfBothNames) {
  torch::jit::Module module = TiedModule();
  OptimizerOptions options;
  options.weight_decay = 0.5;
  ASSERT_OK_AND_ASSIGN(FlatOptimizer optimizer, FlatOptimizer::Create(module, options));
  const at::Tensor a = module.attr("a").toTensor();
  const at::Tensor b = module.attr("b").toTensor();
  (a.sum() + 2 * b.sum()).backward();
  EXPECT_EQ(a.grad()[0][0].item<float>(), 3);
  optimizer.Step(1);  // w - (3 + 0.5 w)
  EXPECT_TRUE(at::equal(a.detach(), torch::tensor({{-2.5F, -2.0F}, {-1.5F, -1.0F}})));
  ASSERT_OK_AND_ASSIGN(const Weights weights, WeightsOf(module));
  EXPECT_THAT(CheckTiesAgree(weights, TiesOf(module)), IsOk());
}

TEST(TiedParameters, WeightsThatTearThemApartAreNamed) {
  const at::Tensor one = Trained(torch::tensor({1.0F}));
  ASSERT_OK_AND_ASSIGN(const Weights torn,
                       WeightsOf(TiedModule(one, Trained(torch::tensor({2.0F})))));
  EXPECT_THAT(CheckTiesAgree(torn, {{"b", "a"}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("ties \"b\" to \"a\"")));
}

TEST(TiedParameters, MemorySharedInAnyOtherWayIsRefused) {
  const at::Tensor memory = torch::arange(6, torch::kFloat32).view({2, 3});
  const auto refused = [](const at::Tensor& a, const at::Tensor& b) {
    const torch::jit::Module module = TiedModule(a, b);
    EXPECT_TRUE(TiesOf(module).empty());
    EXPECT_THAT(CheckSharedMemory(module),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("parameter \"b\" and parameter \"a\" share memory")));
  };
  refused(Trained(memory.detach()), Trained(memory.detach().t()));
  refused(Trained(memory.detach()), Trained(memory.detach()[1]));
  // One of them frozen.
  refused(Trained(memory.detach()), memory.detach());

  torch::jit::Module module("Buffer");
  module.register_parameter("w", Trained(memory.detach()), /*is_buffer=*/false);
  module.register_parameter("copy", memory.detach(), /*is_buffer=*/true);
  EXPECT_THAT(CheckSharedMemory(module),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("buffer \"copy\"")));
}

TEST(TiedParameters, PartsOfOneMemoryBesideEachOtherAreFree) {
  // As recurrent layers lay out their weights.
  const at::Tensor memory = torch::zeros({10});
  const torch::jit::Module module = TiedModule(Trained(memory.detach().narrow(0, 0, 4)),
                                               Trained(memory.detach().narrow(0, 4, 6)));
  EXPECT_TRUE(TiesOf(module).empty());
  EXPECT_THAT(CheckSharedMemory(module), IsOk());
  EXPECT_EQ(CountParameters(module), 13);
}

TEST(TiedParameters, WhatHasNoElementsIsNeverTied) {
  const torch::jit::Module module =
      TiedModule(Trained(torch::zeros({0})), Trained(torch::zeros({0})));
  EXPECT_TRUE(TiesOf(module).empty());
  EXPECT_THAT(CheckSharedMemory(module), IsOk());
}

}  // namespace
}  // namespace distillery

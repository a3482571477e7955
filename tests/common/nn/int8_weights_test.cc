#include "common/nn/int8_weights.h"

#include <algorithm>
#include <limits>

#include "common/nn/architecture.h"
#include "common/nn/evaluation.h"
#include "common/nn/model_file.h"
#include "common/nn/numerics.h"
#include "common/nn/student.h"
#include "tests/common/nn/small_model.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Int8Weights : public ::testing::Test {
 protected:
  void SetUp() override {
    ConfigureTorch(1);
    torch::manual_seed(5);
  }
  static torch::jit::Module Build(const std::string& architecture) {
    return *BuildArchitecture(architecture, ImageShape{1, 8, 8}, 10, 3);
  }
  static ModelCard Card() {
    ModelCard card = SmallCard();
    card.samples = SampleSpec::Pictures({1, 8, 8}, 255);
    card.class_names = std::vector<std::string>(10, "c");
    return card;
  }
  static void ExpectRefused(const torch::jit::Module& module,
                            const ::testing::Matcher<std::string>& message) {
    EXPECT_THAT(WithInt8Weights(module), StatusIs(absl::StatusCode::kInvalidArgument, message));
  }
  static int64_t Int8Elements(const torch::jit::Module& module) {
    int64_t count = 0;
    for (const at::Tensor& tensor : ConstantTensors(module)) {
      if (tensor.scalar_type() == at::kChar) count += tensor.numel();
    }
    return count;
  }
  // Float32 constants that should have become int8.
  static int64_t LargeFloats(const torch::jit::Module& module) {
    int64_t count = 0;
    for (const at::Tensor& tensor : ConstantTensors(module)) {
      if (tensor.scalar_type() == at::kFloat && tensor.dim() >= 2 && tensor.size(1) > 1) ++count;
    }
    return count;
  }
  const TemporaryFolder folder_;
};

TEST_F(Int8Weights, OneChannelByHand) {
  // max abs 254 over 127: scale 2. 3 / 2 = 1.5 goes to the even 2, 5 / 2 = 2.5 too.
  ASSERT_OK_AND_ASSIGN(const Int8Weight weight, ToInt8(torch::tensor({{-254.F, 3.F, 5.F, 0.F}})));
  EXPECT_TRUE(at::equal(weight.scale, torch::tensor({{2.F}})));
  EXPECT_TRUE(at::equal(weight.values, torch::tensor({{-127, 2, 2, 0}}, at::kChar)));
}

TEST_F(Int8Weights, EachWeightIsWithinHalfAScaleOfItself) {
  for (const at::Tensor& weight :
       {torch::randn({10, 64}), torch::randn({16, 6, 5, 5}) * 1e-3, torch::randn({6, 40}).t()}) {
    ASSERT_OK_AND_ASSIGN(const Int8Weight int8, ToInt8(weight));
    EXPECT_EQ(int8.values.scalar_type(), at::kChar);
    EXPECT_EQ(int8.values.sizes(), weight.sizes());
    EXPECT_EQ(int8.scale.size(0), weight.size(0));
    EXPECT_EQ(int8.scale.numel(), weight.size(0));
    const at::Tensor error = (int8.values * int8.scale - weight).abs();
    // The division and the product round once each.
    EXPECT_TRUE((error <= int8.scale * 0.50002).all().item<bool>());
    // Symmetric over the whole range: the largest weight of each channel is +-127.
    EXPECT_TRUE(
        (std::get<0>(int8.values.to(at::kInt).abs().flatten(1).max(1)) == 127).all().item<bool>());
  }
}

TEST_F(Int8Weights, AChannelOfZerosAndADenormalOneStayZeros) {
  at::Tensor weight = torch::ones({3, 4});
  weight[0].zero_();
  weight[1].fill_(std::numeric_limits<float>::denorm_min());
  ASSERT_OK_AND_ASSIGN(const Int8Weight int8, ToInt8(weight));
  EXPECT_TRUE(at::equal(int8.scale.flatten(), torch::tensor({1.F, 1.F, 1.F / 127})));
  EXPECT_TRUE((int8.values.slice(0, 0, 2) == 0).all().item<bool>());
  EXPECT_TRUE((int8.values[2] == 127).all().item<bool>());
}

TEST_F(Int8Weights, WhatIsNotFiniteIsRefused) {
  for (const float value :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    at::Tensor weight = torch::ones({3, 4});
    weight[2][1] = value;
    EXPECT_THAT(ToInt8(weight),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not finite")));
  }
}

TEST_F(Int8Weights, TheForwardIsExactlyThatOfTheRoundedWeights) {
  const torch::jit::Module module = Build("mlp:64-16-10");
  ASSERT_OK_AND_ASSIGN(torch::jit::Module int8, WithInt8Weights(module));
  torch::jit::Module rounded = module.deepcopy();
  {
    const torch::NoGradGuard no_grad;
    for (at::Tensor parameter : rounded.parameters()) {
      if (parameter.dim() < 2) continue;
      const Int8Weight weight = *ToInt8(parameter);
      parameter.copy_(weight.values * weight.scale);
    }
  }
  const at::Tensor x = torch::rand({7, 1, 8, 8});
  EXPECT_TRUE(at::equal(ForwardLogits(int8, Card(), x), ForwardLogits(rounded, Card(), x)));
}

TEST_F(Int8Weights, EveryArchitectureKeepsItsOutputsThroughAFile) {
  for (const char* const architecture : {"mlp:64-48-10,dropout=0.5,input_dropout=0.2",
                                         "lenet,dropout=0.3", "resnet8", "wrn-10-2,dropout=0.3"}) {
    SCOPED_TRACE(architecture);
    torch::jit::Module module = Build(architecture);
    // Running averages that are not 0 and 1.
    module.forward({torch::randn({32, 1, 8, 8})});
    ASSERT_OK_AND_ASSIGN(const torch::jit::Module int8, WithInt8Weights(module));
    ASSERT_THAT(SaveModel(folder_.File("int8.pt"), int8, Card()), IsOk());
    ASSERT_OK_AND_ASSIGN(LoadedModel loaded, LoadModel(folder_.File("int8.pt")));
    EXPECT_EQ(loaded.card.class_names, Card().class_names);
    EXPECT_TRUE(HasInt8Weights(loaded.module));
    EXPECT_EQ(CountParameters(loaded.module), CountParameters(module));
    int64_t large = 0;
    for (const at::Tensor& parameter : module.parameters()) {
      if (parameter.dim() >= 2 && parameter.numel() >= kMinInt8Elements) large += parameter.numel();
    }
    EXPECT_EQ(Int8Elements(loaded.module), large);

    EXPECT_TRUE(module.is_training());
    module.eval();
    const at::Tensor x = torch::rand({50, 1, 8, 8});
    const at::Tensor expected = ForwardLogits(module, Card(), x);
    const at::Tensor actual = ForwardLogits(loaded.module, Card(), x);
    EXPECT_LT((actual - expected).abs().max().item<float>(),
              0.05 * expected.std().item<float>() + 0.01);
    // Again, since TorchScript optimizes after the first pass.
    EXPECT_TRUE(at::equal(ForwardLogits(loaded.module, Card(), x), actual));
  }
}

TEST_F(Int8Weights, AFileIsAQuarterOfTheFloatOne) {
  const torch::jit::Module module = Build("mlp:64-512-512-10");
  ASSERT_OK_AND_ASSIGN(const torch::jit::Module int8, WithInt8Weights(module));
  ASSERT_OK_AND_ASSIGN(const std::string small, SerializeModel(int8, Card()));
  ASSERT_OK_AND_ASSIGN(const std::string large, SerializeModel(module, Card()));
  EXPECT_LT(static_cast<double>(small.size()), 0.27 * static_cast<double>(large.size()));
  ASSERT_OK_AND_ASSIGN(const std::string mobile, SerializeForMobile(int8, Card()));
  EXPECT_LT(static_cast<double>(mobile.size()), 0.28 * static_cast<double>(large.size()));
}

TEST_F(Int8Weights, AWeightReadTwiceIsInTheFileOnce) {
  torch::jit::Module module("Tied");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.register_parameter("weight", torch::randn({64, 64}), /*is_buffer=*/false);
  module.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    x = torch.relu(torch.linear(torch.flatten(x, 1), self.weight))\n"
      "    return torch.linear(x, self.weight)\n");
  ASSERT_OK_AND_ASSIGN(const torch::jit::Module int8, WithInt8Weights(module));
  EXPECT_EQ(Int8Elements(int8), 64 * 64);
}

TEST_F(Int8Weights, WeightsInsideABranchAreFound) {
  torch::jit::Module module("Branch");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.register_parameter("weight", torch::randn({10, 64}), /*is_buffer=*/false);
  module.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    x = torch.flatten(x, 1)\n"
      "    if x.size(0) > 1:\n"
      "        y = torch.linear(x, self.weight)\n"
      "    else:\n"
      "        y = torch.linear(x, self.weight) * 1.0\n"
      "    return y\n");
  ASSERT_OK_AND_ASSIGN(torch::jit::Module int8, WithInt8Weights(module));
  EXPECT_EQ(Int8Elements(int8), 640);
  EXPECT_EQ(LargeFloats(int8), 0);
  const at::Tensor x = torch::rand({3, 1, 8, 8});
  EXPECT_TRUE(at::allclose(ForwardLogits(int8, Card(), x), ForwardLogits(module, Card(), x),
                           /*rtol=*/0, /*atol=*/0.3));
}

TEST_F(Int8Weights, WeightsInMethodsOfMethodsThatRanBeforeAreFound) {
  torch::jit::Module module("Methods");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.register_parameter("weight", torch::randn({10, 64}), /*is_buffer=*/false);
  module.define(
      "def product(self, x: Tensor) -> Tensor:\n"
      "    return torch.linear(x, self.weight)\n");
  module.define(
      "def head(self, x: Tensor) -> Tensor:\n"
      "    return self.product(torch.relu(x))\n");
  module.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return self.head(torch.flatten(x, 1))\n");
  module.forward({torch::rand({3, 1, 8, 8})});
  ASSERT_OK_AND_ASSIGN(const torch::jit::Module int8, WithInt8Weights(module));
  EXPECT_EQ(Int8Elements(int8), 640);
  EXPECT_TRUE(module.find_method("head").has_value());
}

TEST_F(Int8Weights, WeightsOfARecurrentLayerAreFoundInTheirList) {
  torch::jit::Module module("Rows");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.register_parameter("input", torch::randn({40, 8}) * 0.3, /*is_buffer=*/false);
  module.register_parameter("hidden", torch::randn({40, 10}) * 0.3, /*is_buffer=*/false);
  module.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    start = torch.zeros([1, x.size(0), 10])\n"
      "    y, h, c = torch.lstm(torch.squeeze(x, 1), [start, start], [self.input, self.hidden],\n"
      "                         False, 1, 0.0, False, False, True)\n"
      "    return torch.squeeze(h, 0)\n");
  ASSERT_OK_AND_ASSIGN(torch::jit::Module int8, WithInt8Weights(module));
  EXPECT_EQ(Int8Elements(int8), 40 * 8 + 40 * 10);
  EXPECT_EQ(LargeFloats(int8), 0);
  const at::Tensor x = torch::rand({3, 1, 8, 8});
  EXPECT_TRUE(at::allclose(ForwardLogits(int8, Card(), x), ForwardLogits(module, Card(), x),
                           /*rtol=*/0, /*atol=*/0.02));
}

TEST_F(Int8Weights, AMaskOfInfinitiesStaysAsItIs) {
  at::Tensor mask = torch::zeros({10, 64});
  mask[3].fill_(-std::numeric_limits<float>::infinity());
  torch::jit::Module module("Masked");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.register_parameter("weight", torch::randn({10, 64}), /*is_buffer=*/false);
  module.register_buffer("mask", mask);
  module.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    x = torch.flatten(x, 1)\n"
      "    return torch.linear(x, self.weight) + torch.exp(x[:1] + self.mask).sum(1)\n");
  ASSERT_OK_AND_ASSIGN(const torch::jit::Module int8, WithInt8Weights(module));
  EXPECT_EQ(Int8Elements(int8), 640);
  EXPECT_EQ(LargeFloats(int8), 1);
}

TEST_F(Int8Weights, WithNothingToRoundAModelIsRefused) {
  ExpectRefused(BrightnessModule(),
                HasSubstr("no finite float32 weight of two or more dimensions"));
  torch::jit::Module small = *BuildArchitecture("mlp:4-3-2", ImageShape{1, 2, 2}, 2, 1);
  ExpectRefused(small, HasSubstr("int8 would save nothing"));
}

TEST_F(Int8Weights, AnInt8ModelIsNotMadeInt8AgainNorTrained) {
  ASSERT_OK_AND_ASSIGN(const torch::jit::Module int8, WithInt8Weights(Build("mlp:64-16-10")));
  ExpectRefused(int8, HasSubstr("int8 already"));
  const std::string path = folder_.File("int8.pt");
  ASSERT_THAT(SaveModel(path, int8, Card()), IsOk());
  EXPECT_THAT(BuildStudent({"", path, ""}, Card(), 1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("int8.pt"), HasSubstr("int8 weights"))));
}

TEST_F(Int8Weights, AFrozenModelIsMadeInt8AsWell) {
  torch::jit::Module module = Build("resnet8");
  module.eval();
  ASSERT_OK_AND_ASSIGN(torch::jit::Module int8, WithInt8Weights(torch::jit::freeze(module)));
  EXPECT_GT(Int8Elements(int8), 0);
}

}  // namespace
}  // namespace distillery

#include "common/nn/architecture.h"

#include <set>

#include "common/nn/module_weights.h"
#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr ImageShape kDigits{1, 8, 8};
constexpr ImageShape kMnist{1, 28, 28};

torch::jit::Module Build(const std::string& name, const ImageShape& input, int64_t seed = 1) {
  auto module = BuildArchitecture(name, input, 10, seed);
  EXPECT_THAT(module, IsOk());
  return *std::move(module);
}

std::vector<std::string> ParameterNames(const torch::jit::Module& module) {
  std::set<std::string> names;
  for (const auto& parameter : module.named_parameters()) names.insert(parameter.name);
  return {names.begin(), names.end()};
}

std::vector<int64_t> OutputShape(torch::jit::Module module, const ImageShape& input) {
  const at::Tensor batch = torch::rand({3, input.channels, input.height, input.width});
  return module.forward({batch}).toTensor().sizes().vec();
}

std::string Digest(const std::string& name, int64_t seed) {
  return WeightsOf(Build(name, kDigits, seed))->Sha256();
}

TEST(Architecture, ParameterCountsAreThoseCountedByHand) {
  // weights + biases of each layer
  EXPECT_EQ(CountParameters(Build("mlp:64-10", kDigits)), 64 * 10 + 10);
  EXPECT_EQ(CountParameters(Build("mlp:64-32-10", kDigits)), 64 * 32 + 32 + 32 * 10 + 10);
  EXPECT_EQ(CountParameters(Build("mlp:784-800-800-10", kMnist)),
            784 * 800 + 800 + 800 * 800 + 800 + 800 * 10 + 10);
  // LeNet-5 for 28 x 28 has 61,706: 6*25+6, 16*6*25+16, 400*120+120, 120*84+84, 84*10+10.
  EXPECT_EQ(CountParameters(Build("lenet", kMnist)), 156 + 2416 + 48120 + 10164 + 850);
  // For 8 x 8 the second convolution is padded and leaves 16 channels of 2 x 2.
  EXPECT_EQ(CountParameters(Build("lenet", kDigits)), 156 + 2416 + (64 * 120 + 120) + 10164 + 850);
}

TEST(Architecture, ParametersHaveTheNamesOfTheirLayers) {
  EXPECT_THAT(ParameterNames(Build("mlp:64-32-10", kDigits)),
              ElementsAre("fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"));
  EXPECT_THAT(ParameterNames(Build("lenet", kDigits)),
              ElementsAre("conv1.bias", "conv1.weight", "conv2.bias", "conv2.weight", "fc1.bias",
                          "fc1.weight", "fc2.bias", "fc2.weight", "fc3.bias", "fc3.weight"));
}

TEST(Architecture, ForwardGivesOneRowOfLogitsPerImage) {
  for (const ImageShape& input : {kDigits, kMnist}) {
    const std::string mlp = input == kDigits ? "mlp:64-20-10" : "mlp:784-20-10";
    EXPECT_THAT(OutputShape(Build(mlp, input), input), ElementsAre(3, 10));
    EXPECT_THAT(OutputShape(Build("lenet", input), input), ElementsAre(3, 10));
  }
  const ImageShape colour{3, 32, 32};
  EXPECT_THAT(OutputShape(Build("lenet", colour), colour), ElementsAre(3, 10));
  const ImageShape smallest{1, 4, 4};
  EXPECT_THAT(OutputShape(Build("lenet", smallest), smallest), ElementsAre(3, 10));
}

TEST(Architecture, ForwardIsTheFormula) {
  torch::jit::Module module = Build("mlp:64-5-10", kDigits);
  const at::Tensor x = torch::rand({2, 1, 8, 8});
  const auto parameter = [&](const char* layer, const char* name) {
    return module.attr(layer).toModule().attr(name).toTensor();
  };
  const at::Tensor hidden =
      at::relu(at::matmul(x.flatten(1), parameter("fc1", "weight").t()) + parameter("fc1", "bias"));
  const at::Tensor expected =
      at::matmul(hidden, parameter("fc2", "weight").t()) + parameter("fc2", "bias");
  EXPECT_TRUE(at::allclose(module.forward({x}).toTensor(), expected, 1e-5, 1e-6));
}

TEST(Architecture, ParametersArePureInTheSeed) {
  for (const char* const name : {"mlp:64-32-10", "lenet"}) {
    EXPECT_EQ(Digest(name, 1), Digest(name, 1)) << name;
    EXPECT_NE(Digest(name, 1), Digest(name, 2)) << name;
    torch::manual_seed(99);  // the process's generator has no part in it
    EXPECT_EQ(Digest(name, 7), Digest(name, 7)) << name;
  }
}

TEST(Architecture, DropoutDoesNotChangeTheSeededParameters) {
  EXPECT_EQ(Digest("mlp:64-32-10", 3), Digest("mlp:64-32-10,dropout=0.5", 3));
}

TEST(Architecture, SeededParametersFillTheirRange) {
  // Uniform in +-1/sqrt(64) = +-0.125: mean 0, deviation 0.125 / sqrt(3) = 0.0722.
  const at::Tensor weight =
      Build("mlp:64-500-10", kDigits).attr("fc1").toModule().attr("weight").toTensor().detach();
  EXPECT_LE(weight.abs().max().item<float>(), 0.125F);
  EXPECT_GT(weight.max().item<float>(), 0.1249F);
  EXPECT_LT(weight.min().item<float>(), -0.1249F);
  EXPECT_NEAR(weight.mean().item<double>(), 0, 0.002);  // 5 deviations of the mean of 32000
  EXPECT_NEAR(weight.std().item<double>(), 0.0722, 0.001);
}

TEST(Architecture, DropoutWorksInTrainingAlone) {
  torch::jit::Module module = Build("mlp:64-256-10,dropout=0.5,input_dropout=0.2", kDigits);
  const at::Tensor x = torch::rand({4, 1, 8, 8});
  const auto forward = [&] { return module.forward({x}).toTensor(); };
  EXPECT_TRUE(module.is_training());
  EXPECT_FALSE(at::equal(forward(), forward()));
  module.eval();
  EXPECT_TRUE(at::equal(forward(), forward()));
  // In eval mode it is the model without dropout, with no scaling left.
  torch::jit::Module plain = Build("mlp:64-256-10", kDigits);
  EXPECT_TRUE(at::equal(forward(), plain.forward({x}).toTensor()));
  module.train();
  EXPECT_FALSE(at::equal(forward(), forward()));
}

TEST(Architecture, DropoutOfRateZeroIsNone) {
  torch::jit::Module module = Build("mlp:64-32-10,dropout=0", kDigits);
  const at::Tensor x = torch::rand({4, 1, 8, 8});
  EXPECT_TRUE(at::equal(module.forward({x}).toTensor(), module.forward({x}).toTensor()));
}

void ExpectRefused(const std::string& name, const ::testing::Matcher<std::string>& message) {
  EXPECT_THAT(BuildArchitecture(name, kDigits, 10, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, message))
      << name;
}

TEST(Architecture, UnknownOnesNameTheNearest) {
  ExpectRefused("lennet", HasSubstr("did you mean \"lenet\"?"));
  ExpectRefused("transformer", HasSubstr("known: mlp:SIZES, lenet"));
  ExpectRefused("lenet,dropuot=0.5", HasSubstr("did you mean \"dropout\"?"));
}

TEST(Architecture, SizesThatDoNotFitNameBoth) {
  ExpectRefused("mlp:784-10", AllOf(HasSubstr("takes 784 inputs"), HasSubstr("1 x 8 x 8 = 64")));
  ExpectRefused("mlp:64-32-7", AllOf(HasSubstr("has 7 outputs"), HasSubstr("10 classes")));
  EXPECT_THAT(BuildArchitecture("lenet", ImageShape{1, 3, 8}, 10, 1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("at least 4 x 4"), HasSubstr("1 x 3 x 8"))));
}

TEST(Architecture, SenselessSizesAndRatesAreRefused) {
  for (const char* const name : {"mlp:", "mlp:64", "mlp:64--10", "mlp:64-x-10", "mlp:64-0-10",
                                 "mlp:64-99999999-10", "mlp:-64-10"}) {
    ExpectRefused(name, HasSubstr("mlp"));
  }
  for (const char* const name : {"lenet,dropout", "lenet,dropout=", "lenet,dropout=1",
                                 "lenet,dropout=-0.1", "lenet,dropout=nan", "lenet,dropout=x"}) {
    ExpectRefused(name, HasSubstr("dropout must be 0 to below 1"));
  }
}

}  // namespace
}  // namespace distillery

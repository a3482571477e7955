// resnetN and wrn-D-W as modules; tests/golden holds them against PyTorch.
#include <map>

#include "common/nn/architecture.h"
#include "common/nn/module_weights.h"
#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr ImageShape kCifar{3, 32, 32};
constexpr ImageShape kSmallest{1, 8, 8};

torch::jit::Module Build(const std::string& name, const ImageShape& input = kCifar,
                         int64_t class_count = 10, int64_t seed = 1) {
  auto module = BuildArchitecture(name, input, class_count, seed);
  EXPECT_THAT(module, IsOk());
  return *std::move(module);
}

int64_t Count(const std::string& name, int64_t class_count) {
  return CountParameters(Build(name, kCifar, class_count));
}

at::Tensor Tensor(const torch::jit::Module& module, const std::string& name) {
  for (const auto& parameter : module.named_parameters()) {
    if (parameter.name == name) return parameter.value.detach();
  }
  for (const auto& buffer : module.named_buffers()) {
    if (buffer.name == name) return buffer.value;
  }
  ADD_FAILURE() << "no tensor " << name;
  return torch::empty({0});
}

at::Tensor Forward(torch::jit::Module module, const at::Tensor& x) {
  return module.forward({x}).toTensor().detach();
}

TEST(ResidualNetwork, ResnetsHaveAsManyParametersAsCountedByHand) {
  // Convolutions 9 * in * out (shortcuts in * out), BatchNorm 2 * channels, linear (in + 1) * out.
  const int64_t start = 9 * 3 * 16 + 32;
  const int64_t block16 = 2 * (9 * 16 * 16 + 32);
  const int64_t block32 = 2 * (9 * 32 * 32 + 64);
  const int64_t block64 = 2 * (9 * 64 * 64 + 128);
  const int64_t to32 = 9 * 16 * 32 + 64 + 9 * 32 * 32 + 64 + 16 * 32 + 64;
  const int64_t to64 = 9 * 32 * 64 + 128 + 9 * 64 * 64 + 128 + 32 * 64 + 128;
  for (const int64_t n : {1, 2, 3, 5, 7, 9, 18}) {
    EXPECT_EQ(Count("resnet" + std::to_string(6 * n + 2), 10),
              start + n * block16 + to32 + (n - 1) * block32 + to64 + (n - 1) * block64 + 65 * 10);
  }
  // 0.27 M and 0.85 M in the paper (table 6).
  EXPECT_EQ(Count("resnet20", 10), 272'474);
  EXPECT_EQ(Count("resnet56", 10), 855'770);
  // 0.08 M with 100 classes where distillation is compared.
  EXPECT_EQ(Count("resnet8", 100), 83'892);
}

TEST(ResidualNetwork, WideOnesHaveAsManyParametersAsCountedByHand) {
  // The blocks of wrn-16-2, widths 32, 64, 128: BatchNorm, convolution, BatchNorm, convolution.
  const int64_t block1 = 32 + 9 * 16 * 32 + 64 + 9 * 32 * 32 + 16 * 32;
  const int64_t more1 = 64 + 9 * 32 * 32 + 64 + 9 * 32 * 32;
  const int64_t block2 = 64 + 9 * 32 * 64 + 128 + 9 * 64 * 64 + 32 * 64;
  const int64_t more2 = 128 + 9 * 64 * 64 + 128 + 9 * 64 * 64;
  const int64_t block3 = 128 + 9 * 64 * 128 + 256 + 9 * 128 * 128 + 64 * 128;
  const int64_t more3 = 256 + 9 * 128 * 128 + 256 + 9 * 128 * 128;
  EXPECT_EQ(Count("wrn-16-2", 10),
            9 * 3 * 16 + block1 + more1 + block2 + more2 + block3 + more3 + 256 + 129 * 10);
  EXPECT_EQ(Count("wrn-16-2", 10), 691'674);
  // 0.57 M and 2.26 M with 100 classes where distillation is compared.
  EXPECT_NEAR(static_cast<double>(Count("wrn-40-1", 100)), 0.57e6, 0.005e6);
  EXPECT_NEAR(static_cast<double>(Count("wrn-40-2", 100)), 2.26e6, 0.005e6);
}

TEST(ResidualNetwork, TensorsHaveTheNamesThatPyTorchGivesThem) {
  const auto names = [](const std::string& architecture) {
    std::vector<std::string> all;
    const Weights weights = *WeightsOf(Build(architecture));
    for (const TensorSpec& tensor : weights.layout().tensors()) all.push_back(tensor.name);
    return all;
  };
  EXPECT_THAT(names("resnet14"),
              AllOf(IsSupersetOf({"conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean",
                                  "bn1.running_var", "bn1.num_batches_tracked",
                                  "layer1.0.conv1.weight", "layer1.1.bn2.running_var",
                                  "layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias",
                                  "layer3.1.conv2.weight", "fc.weight", "fc.bias"}),
                    Not(::testing::Contains("conv1.bias")),
                    Not(::testing::Contains("layer1.0.downsample.0.weight"))));
  EXPECT_THAT(
      names("wrn-16-1"),
      AllOf(IsSupersetOf({"conv1.weight", "block1.layer.1.bn1.weight",
                          "block2.layer.0.convShortcut.weight", "bn1.running_mean", "fc.bias"}),
            Not(::testing::Contains("block1.layer.0.convShortcut.weight"))));
}

TEST(ResidualNetwork, AnyImageOfEightByEightOrMoreGivesOneRowOfLogits) {
  for (const char* const name : {"resnet8", "wrn-10-2"}) {
    for (const ImageShape& input :
         {kSmallest, kCifar, ImageShape{1, 28, 28}, ImageShape{3, 9, 13}}) {
      const at::Tensor x = torch::rand({2, input.channels, input.height, input.width});
      EXPECT_THAT(Forward(Build(name, input), x).sizes().vec(), ElementsAre(2, 10)) << name;
    }
  }
}

TEST(ResidualNetwork, ConvolutionsStartNormalWithVarianceTwoByFanOut) {
  // layer3.0.conv1: 64 filters of 32 x 3 x 3, fan out 64 * 9, deviation sqrt(2 / 576) = 0.0589.
  const at::Tensor weight = Tensor(Build("resnet8"), "layer3.0.conv1.weight");
  ASSERT_EQ(weight.numel(), 18432);
  EXPECT_NEAR(weight.mean().item<double>(), 0, 0.0022);      // 5 deviations of the mean
  EXPECT_NEAR(weight.std().item<double>(), 0.0589, 0.0016);  // 5 deviations of the deviation
  // Within 1, 2 and 3 deviations lie 68.3, 95.4 and 99.7 of a hundred.
  const std::map<double, double> shares = {{1, 0.6827}, {2, 0.9545}, {3, 0.9973}};
  for (const auto& [deviations, share] : shares) {
    const at::Tensor inside = weight.abs().lt(deviations * 0.0589).to(torch::kFloat64);
    EXPECT_NEAR(inside.mean().item<double>(), share, 0.015) << deviations;
  }
}

TEST(ResidualNetwork, BatchNormStartsAsTheIdentity) {
  const torch::jit::Module module = Build("wrn-10-1");
  const auto all = [&](const char* name, double value) {
    return at::equal(Tensor(module, name), torch::full({64}, value));
  };
  EXPECT_TRUE(all("bn1.weight", 1));
  EXPECT_TRUE(all("bn1.bias", 0));
  EXPECT_TRUE(all("bn1.running_mean", 0));
  EXPECT_TRUE(all("bn1.running_var", 1));
  EXPECT_EQ(Tensor(module, "bn1.num_batches_tracked").item<int64_t>(), 0);
}

TEST(ResidualNetwork, ParametersArePureInTheSeed) {
  const auto digest = [](const std::string& name, int64_t seed) {
    return WeightsOf(Build(name, kSmallest, 10, seed))->Sha256();
  };
  for (const char* const name : {"resnet8", "wrn-10-1"}) {
    EXPECT_EQ(digest(name, 1), digest(name, 1)) << name;
    EXPECT_NE(digest(name, 1), digest(name, 2)) << name;
  }
  EXPECT_EQ(digest("wrn-10-1", 3), digest("wrn-10-1,dropout=0.3,input_dropout=0.1", 3));
}

TEST(ResidualNetwork, RunningStatisticsMoveInTrainingAlone) {
  torch::jit::Module module = Build("resnet8", kSmallest);
  const at::Tensor x = torch::rand({4, 1, 8, 8});
  module.eval();
  Forward(module, x);
  EXPECT_EQ(Tensor(module, "bn1.num_batches_tracked").item<int64_t>(), 0);
  EXPECT_TRUE(at::equal(Tensor(module, "bn1.running_mean"), torch::zeros({16})));
  module.train();
  Forward(module, x);
  EXPECT_EQ(Tensor(module, "layer3.0.bn2.num_batches_tracked").item<int64_t>(), 1);
  // The first layer's means are a tenth of those of the batch's first convolution.
  const at::Tensor means = at::conv2d(x, Tensor(module, "conv1.weight"), {}, 1, 1).mean({0, 2, 3});
  EXPECT_TRUE(at::allclose(Tensor(module, "bn1.running_mean"), 0.1 * means, 1e-4, 1e-6));
}

TEST(ResidualNetwork, OneLayerInEvaluationKeepsItsStatistics) {
  torch::jit::Module module = Build("resnet8", kSmallest);
  module.attr("layer1").toModule().eval();
  Forward(module, torch::rand({4, 1, 8, 8}));
  EXPECT_EQ(Tensor(module, "layer1.0.bn1.num_batches_tracked").item<int64_t>(), 0);
  EXPECT_EQ(Tensor(module, "layer2.0.bn1.num_batches_tracked").item<int64_t>(), 1);
}

TEST(ResidualNetwork, DropoutInBlocksWorksInTrainingAlone) {
  torch::jit::Module module = Build("wrn-10-1,dropout=0.3", kSmallest);
  const at::Tensor x = torch::rand({4, 1, 8, 8});
  EXPECT_FALSE(at::equal(Forward(module, x), Forward(module, x)));
  module = Build("wrn-10-1,dropout=0.3", kSmallest);
  module.eval();
  torch::jit::Module plain = Build("wrn-10-1", kSmallest);
  plain.eval();
  EXPECT_TRUE(at::equal(Forward(module, x), Forward(plain, x)));
}

void ExpectRefused(const std::string& name, const ::testing::Matcher<std::string>& message,
                   const ImageShape& input = kCifar) {
  EXPECT_THAT(BuildArchitecture(name, input, 10, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, message))
      << name;
}

TEST(ResidualNetwork, DepthsAndWidthsThatThereAreNotNameTheNearest) {
  ExpectRefused("resnet9", AllOf(HasSubstr("unknown architecture \"resnet9\""),
                                 HasSubstr("did you mean \"resnet8\"?"), HasSubstr("6n + 2"),
                                 HasSubstr("known: resnet8, resnet14, resnet20")));
  const std::map<std::string, std::string> nearest = {
      {"resnet", "resnet8"},       {"resnet2", "resnet8"},        {"resnet18", "resnet20"},
      {"resnet1202", "resnet110"}, {"resnet08", "resnet8"},       {"resnet-20", "resnet8"},
      {"resnet20x", "resnet8"},    {"resnet99999999", "resnet8"}, {"wrn-17-2", "wrn-16-2"},
      {"wrn-28-21", "wrn-28-20"},  {"wrn-28", "wrn-28-1"},        {"wrn-28-0", "wrn-28-1"},
      {"wrn-4-2", "wrn-10-2"},     {"wrn--10-1", "wrn-10-1"},     {"wrn-16-2-3", "wrn-16-1"}};
  for (const auto& [name, near] : nearest) {
    ExpectRefused(name, HasSubstr("did you mean \"" + near + "\"?"));
  }
  ExpectRefused("renset20", HasSubstr("did you mean \"resnet20\"?"));
  ExpectRefused("vgg", AllOf(HasSubstr("known: mlp:SIZES, lenet, resnet8"), HasSubstr("wrn-D-W")));
}

TEST(ResidualNetwork, ImagesBelowEightByEightAreRefused) {
  for (const char* const name : {"resnet8", "wrn-10-1"}) {
    ExpectRefused(name, AllOf(HasSubstr("at least 8 x 8"), HasSubstr("1 x 7 x 8")),
                  ImageShape{1, 7, 8});
  }
}

TEST(ResidualNetwork, DropoutIsForWideOnes) {
  ExpectRefused("resnet20,dropout=0.3", HasSubstr("wrn-D-W,dropout=P has"));
  EXPECT_THAT(BuildArchitecture("resnet8,dropout=0,input_dropout=0.1", kCifar, 10, 1), IsOk());
}

}  // namespace
}  // namespace distillery

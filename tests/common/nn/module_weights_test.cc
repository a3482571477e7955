#include "common/nn/module_weights.h"

#include "common/nn/architecture.h"
#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

// A parameter `scale` [2], the buffers `count` (int64) and `mean` (float32).
torch::jit::Module ModuleWithBuffers(std::vector<float> scale, int64_t count, float mean) {
  torch::jit::Module module("Buffers");
  module.register_parameter("scale", torch::tensor(scale).set_requires_grad(true), false);
  module.register_parameter("count", torch::tensor(count, torch::kInt64), /*is_buffer=*/true);
  module.register_parameter("mean", torch::tensor(mean), /*is_buffer=*/true);
  return module;
}

template <typename T>
std::vector<T> Values(const Weights& weights, const std::string& name) {
  const TensorSpec* const tensor = weights.layout().Find(name);
  const absl::string_view bytes = weights.Bytes(*tensor);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(ModuleWeights, HoldParametersAndBuffersByName) {
  const torch::jit::Module module = ModuleWithBuffers({1.5F, -2}, 7, 0.25F);
  ASSERT_OK_AND_ASSIGN(const Weights weights, WeightsOf(module));
  ASSERT_EQ(weights.layout().tensors().size(), 3U);
  EXPECT_EQ(Values<float>(weights, "scale"), (std::vector<float>{1.5F, -2}));
  EXPECT_EQ(Values<int64_t>(weights, "count"), std::vector<int64_t>{7});
  EXPECT_EQ(Values<float>(weights, "mean"), std::vector<float>{0.25F});
  EXPECT_TRUE(weights.layout().Find("count")->shape.empty());
  EXPECT_EQ(BufferNames(module), (std::vector<std::string>{"count", "mean"}));
}

TEST(ModuleWeights, LoadingThemGivesTheSameModule) {
  ASSERT_OK_AND_ASSIGN(const torch::jit::Module from,
                       BuildArchitecture("lenet", ImageShape{1, 8, 8}, 10, 1));
  ASSERT_OK_AND_ASSIGN(torch::jit::Module to,
                       BuildArchitecture("lenet", ImageShape{1, 8, 8}, 10, 2));
  ASSERT_OK_AND_ASSIGN(const Weights weights, WeightsOf(from));
  ASSERT_NE(WeightsOf(to)->Sha256(), weights.Sha256());
  ASSERT_THAT(LoadWeights(weights, to), IsOk());
  EXPECT_EQ(WeightsOf(to)->Sha256(), weights.Sha256());
}

TEST(ModuleWeights, SurviveTheSafetensorsFile) {
  ASSERT_OK_AND_ASSIGN(const Weights weights, WeightsOf(ModuleWithBuffers({3, 4}, 9, 0.5F)));
  ASSERT_OK_AND_ASSIGN(const Weights read, Weights::FromFile(weights.file()));
  torch::jit::Module module = ModuleWithBuffers({0, 0}, 0, 0);
  ASSERT_THAT(LoadWeights(read, module), IsOk());
  EXPECT_EQ(module.attr("count").toTensor().item<int64_t>(), 9);
  EXPECT_EQ(module.attr("scale").toTensor()[1].item<float>(), 4);
}

TEST(ModuleWeights, AnotherLayoutIsAFailedPreconditionNamingTheTensor) {
  ASSERT_OK_AND_ASSIGN(const Weights weights, WeightsOf(ModuleWithBuffers({1, 2, 3}, 0, 0)));
  torch::jit::Module module = ModuleWithBuffers({1, 2}, 0, 0);
  EXPECT_THAT(LoadWeights(weights, module),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("scale")));
  torch::jit::Module other("Other");
  other.register_parameter("scale", torch::zeros({3}), false);
  EXPECT_THAT(LoadWeights(weights, other),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("count")));
}

TEST(ModuleWeights, TypesThatSafetensorsDoesNotKnowAreRefused) {
  torch::jit::Module module("Complex");
  module.register_parameter("z", torch::zeros({1}, torch::kComplexFloat), true);
  EXPECT_THAT(WeightsOf(module), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"z\"")));
}

TEST(ModuleWeights, DeltaSubtractsParametersAndKeepsBuffers) {
  ASSERT_OK_AND_ASSIGN(const Weights start, WeightsOf(ModuleWithBuffers({1, 2}, 10, 0.5F)));
  ASSERT_OK_AND_ASSIGN(const Weights end, WeightsOf(ModuleWithBuffers({1.5F, -2}, 12, 0.75F)));
  const Weights delta = Delta(start, end, {"count", "mean"});
  EXPECT_EQ(Values<float>(delta, "scale"), (std::vector<float>{0.5F, -4}));  // end - start
  EXPECT_EQ(Values<int64_t>(delta, "count"), std::vector<int64_t>{12});      // the end value
  EXPECT_EQ(Values<float>(delta, "mean"), std::vector<float>{0.75F});
}

TEST(ModuleWeights, DeltaOfDoublesIsComputedInDouble) {
  torch::jit::Module from("Double");
  from.register_parameter("w", torch::tensor({1.0}, torch::kFloat64), false);
  torch::jit::Module to("Double");
  to.register_parameter("w", torch::tensor({1.0 + 0x1p-40}, torch::kFloat64), false);
  EXPECT_EQ(Values<double>(Delta(*WeightsOf(from), *WeightsOf(to), {}), "w"),
            std::vector<double>{0x1p-40});
}

}  // namespace
}  // namespace distillery

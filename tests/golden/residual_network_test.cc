// resnet8 and wrn-10-1 against the same networks made of PyTorch's own layers: logits with the same
// weights, and of one training step the gradients and the running statistics.
#include "common/nn/architecture.h"
#include "tests/common/status_matchers.h"
#include "tests/golden/golden_tensor.h"
#include "tests/golden/known_network.h"

namespace distillery {
namespace {

class GoldenResidualNetwork : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(GoldenResidualNetwork, EqualsPyTorch) {
  const nlohmann::json golden = ReadGolden("residual_networks.json");
  ASSERT_EQ(golden.at("cases").size(), 2U);
  for (const nlohmann::json& one : golden.at("cases")) {
    SCOPED_TRACE(one.at("architecture").get<std::string>());
    ASSERT_OK_AND_ASSIGN(const auto module,
                         BuildArchitecture(one.at("architecture"), ImageShape{3, 8, 8},
                                           golden.at("class_count"), /*seed=*/1));
    KnownNetwork network(module, GetParam());
    const at::Tensor images = Pattern(1000, {4, 3, 8, 8}).to(GetParam());
    GoldenComparison(GetParam()).ExpectCase(one, network, {images}, LabelsOf(golden));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GoldenResidualNetwork, ::testing::Values(at::kDouble, at::kFloat),
                         [](const auto& info) { return std::string(toString(info.param)); });

}  // namespace
}  // namespace distillery

// mlp, transformer, gru and unet on tables, tokens, series and pixels against the same networks
// made of PyTorch's own modules: logits with the same weights, and of one training step the
// gradients and the running statistics.
#include "common/nn/architecture.h"
#include "tests/common/status_matchers.h"
#include "tests/golden/known_network.h"

namespace distillery {
namespace {

class GoldenSampleNetwork : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(GoldenSampleNetwork, EqualsPyTorchInEachOfItsUses) {
  const nlohmann::json golden = ReadGolden("sample_networks.json");
  const int64_t rows = golden.at("rows");
  ASSERT_EQ(golden.at("cases").size(), 15U);
  for (const nlohmann::json& one : golden.at("cases")) {
    const SampleSpec spec = SpecOfCase(one);
    SCOPED_TRACE(one.at("architecture").get<std::string>() + " on " + spec.ToString());
    const int64_t answers = one.at("answers");
    ASSERT_OK_AND_ASSIGN(const auto module, BuildArchitecture(one.at("architecture"), spec, answers,
                                                              /*seed=*/1));
    KnownNetwork network(module, GetParam());
    const at::Tensor labels = torch::remainder(
        torch::arange(rows * spec.answer.position_count(), torch::kInt64) * 3, answers);
    GoldenComparison(GetParam())
        .ExpectCase(one, network, KnownInputs(spec, rows, GetParam()), labels);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GoldenSampleNetwork, ::testing::Values(at::kDouble, at::kFloat),
                         [](const auto& info) { return std::string(toString(info.param)); });

}  // namespace
}  // namespace distillery

// mlp, transformer, gru and unet on tables, tokens, series and pixels, and mobilenetv2, vit, dscnn
// and conv1d on small pictures and recordings, against the same networks made of PyTorch's own
// modules: logits with the same weights, and of one training step the
// gradients and the running statistics.
#include <string>
#include <tuple>

#include "common/nn/architecture.h"
#include "tests/common/status_matchers.h"
#include "tests/golden/known_network.h"

namespace distillery {
namespace {

using FileAndType = std::tuple<const char*, at::ScalarType>;

class GoldenSampleNetwork : public ::testing::TestWithParam<FileAndType> {};

TEST_P(GoldenSampleNetwork, EqualsPyTorchInEachOfItsUses) {
  const nlohmann::json golden = ReadGolden(std::get<0>(GetParam()));
  const at::ScalarType type = std::get<1>(GetParam());
  const int64_t rows = golden.at("rows");
  ASSERT_GE(golden.at("cases").size(), 6U);
  for (const nlohmann::json& one : golden.at("cases")) {
    const SampleSpec spec = SpecOfCase(one);
    SCOPED_TRACE(one.at("architecture").get<std::string>() + " on " + spec.ToString());
    const int64_t answers = one.at("answers");
    ASSERT_OK_AND_ASSIGN(const auto module, BuildArchitecture(one.at("architecture"), spec, answers,
                                                              /*seed=*/1));
    KnownNetwork network(module, type);
    const at::Tensor labels = torch::remainder(
        torch::arange(rows * spec.answer.position_count(), torch::kInt64) * 3, answers);
    GoldenComparison(type).ExpectCase(one, network, KnownInputs(spec, rows, type), labels);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GoldenSampleNetwork,
                         ::testing::Combine(::testing::Values("sample_networks.json",
                                                              "small_networks.json"),
                                            ::testing::Values(at::kDouble, at::kFloat)),
                         [](const ::testing::TestParamInfo<FileAndType>& info) {
                           const std::string file = std::get<0>(info.param);
                           return file.substr(0, file.find('.')) +
                                  toString(std::get<1>(info.param));
                         });

}  // namespace
}  // namespace distillery

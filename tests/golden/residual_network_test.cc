// resnet8 and wrn-10-1 against the same networks made of PyTorch's own layers: logits with the same
// weights, and of one training step the gradients and the running statistics.
#include <torch/script.h>

#include <map>

#include "absl/strings/match.h"
#include "common/nn/architecture.h"
#include "tests/common/status_matchers.h"
#include "tests/golden/golden_file.h"

namespace distillery {
namespace {

// As in make_golden.py.
at::Tensor Pattern(int64_t key, at::IntArrayRef shape) {
  const at::Tensor places = torch::arange(c10::multiply_integers(shape), torch::kInt64);
  const at::Tensor values = torch::remainder(places * 7919 + key * 104729, 1009) - 504;
  return (values.to(torch::kFloat64) / 512).view(shape);
}

at::Tensor KnownTensor(int64_t key, const std::string& name, at::IntArrayRef shape) {
  if (absl::EndsWith(name, "running_var")) return 1 + Pattern(key, shape) / 2;
  if (shape.size() > 1) return Pattern(key, shape) / 8;
  return (absl::EndsWith(name, "weight") ? 1 : 0) + Pattern(key, shape) / 4;
}

class ResidualNetwork {
 public:
  ResidualNetwork(const nlohmann::json& golden, int64_t class_count, at::ScalarType type)
      : type_(type),
        module_(*BuildArchitecture(golden.at("architecture"), ImageShape{3, 8, 8}, class_count,
                                   /*seed=*/1)) {
    for (const auto& parameter : module_.named_parameters()) {
      tensors_.emplace(parameter.name, parameter.value);
    }
    for (const auto& buffer : module_.named_buffers()) tensors_.emplace(buffer.name, buffer.value);
    int64_t key = 0;
    for (auto& [name, tensor] : tensors_) {
      if (tensor.scalar_type() == torch::kInt64) {
        tensor.fill_(7);
      } else {
        tensor.set_data(KnownTensor(key, name, tensor.sizes()).to(type));
      }
      ++key;
    }
  }
  // Logits of the known images [4, 3, 8, 8].
  at::Tensor Forward(bool training) {
    module_.train(training);
    return module_.forward({Pattern(1000, {4, 3, 8, 8}).to(type_)}).toTensor();
  }
  // By name, sorted.
  const std::map<std::string, at::Tensor>& tensors() const { return tensors_; }

 private:
  const at::ScalarType type_;
  torch::jit::Module module_;
  std::map<std::string, at::Tensor> tensors_;
};

class GoldenResidualNetwork : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  // float64 leaves no room for another formula; float32 is what students compute in.
  double Tolerance() const { return GetParam() == at::kDouble ? 1e-9 : 2e-4; }

  void ExpectRows(const at::Tensor& got, const nlohmann::json& rows) {
    const at::Tensor flat = got.detach().to(torch::kFloat64).flatten();
    const std::vector<double> expected = Flatten(rows);
    ASSERT_EQ(flat.numel(), static_cast<int64_t>(expected.size()));
    for (int64_t i = 0; i < flat.numel(); ++i) {
      EXPECT_NEAR(flat[i].item<double>(), expected[i], Tolerance()) << "place " << i;
    }
  }
  void ExpectSummary(const std::string& name, const at::Tensor& tensor,
                     const nlohmann::json& expected) {
    SCOPED_TRACE(name);
    const at::Tensor values = tensor.detach().to(torch::kFloat64);
    const auto norm = expected.at("norm").get<double>();
    const double tolerance = Tolerance() * (1 + norm);
    EXPECT_NEAR(values.norm().item<double>(), norm, tolerance);
    EXPECT_NEAR((values * Pattern(2000, values.sizes())).sum().item<double>(),
                expected.at("projection").get<double>(), tolerance);
    const at::Tensor flat = values.flatten();
    for (size_t i = 0; i < expected.at("first").size(); ++i) {
      EXPECT_NEAR(flat[static_cast<int64_t>(i)].item<double>(),
                  expected.at("first")[i].get<double>(), tolerance);
    }
  }
};

TEST_P(GoldenResidualNetwork, EqualsPyTorch) {
  const nlohmann::json golden = ReadGolden("residual_networks.json");
  const std::vector<int64_t> labels = golden.at("labels");
  ASSERT_EQ(golden.at("cases").size(), 2U);
  for (const nlohmann::json& one : golden.at("cases")) {
    SCOPED_TRACE(one.at("architecture").get<std::string>());
    ResidualNetwork network(one, golden.at("class_count"), GetParam());
    std::map<std::string, std::vector<int64_t>> shapes;
    for (const auto& [name, tensor] : network.tensors()) shapes[name] = tensor.sizes().vec();
    EXPECT_EQ(shapes, (one.at("shapes").get<std::map<std::string, std::vector<int64_t>>>()));

    ExpectRows(network.Forward(/*training=*/false), one.at("logits_in_evaluation"));
    const at::Tensor logits = network.Forward(/*training=*/true);
    ExpectRows(logits, one.at("logits_in_training"));
    at::cross_entropy_loss(logits, torch::tensor(labels)).backward();
    for (const auto& [name, expected] : one.at("gradients").items()) {
      ExpectSummary(name, network.tensors().at(name).grad(), expected);
    }
    for (const auto& [name, expected] : one.at("buffers_after_step").items()) {
      const at::Tensor& buffer = network.tensors().at(name);
      if (expected.is_object()) {
        ExpectSummary(name, buffer, expected);
      } else {
        EXPECT_EQ(buffer.item<int64_t>(), expected.get<int64_t>()) << name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GoldenResidualNetwork, ::testing::Values(at::kDouble, at::kFloat),
                         [](const auto& info) { return std::string(toString(info.param)); });

}  // namespace
}  // namespace distillery

#include "tests/golden/known_network.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace distillery {
namespace {

at::Tensor KnownTensor(int64_t key, const std::string& name, at::IntArrayRef shape) {
  if (absl::EndsWith(name, "running_var")) return 1 + Pattern(key, shape) / 2;
  if (shape.size() > 1) return Pattern(key, shape) / 8;
  return (absl::EndsWith(name, "weight") ? 1 : 0) + Pattern(key, shape) / 4;
}

// int64 [rows, length]: of the first row all count, of each further one fewer.
at::Tensor KnownMask(int64_t rows, int64_t length) {
  const at::Tensor counted = (length - torch::arange(rows, torch::kInt64)).clamp_min(1);
  return torch::arange(length, torch::kInt64).lt(counted.unsqueeze(1)).to(torch::kInt64);
}

at::Tensor KnownTokens(int64_t key, at::IntArrayRef shape, int64_t vocabulary) {
  const at::Tensor places = torch::arange(c10::multiply_integers(shape), torch::kInt64);
  return torch::remainder(places * 7919 + key * 104729, vocabulary).view(shape);
}

}  // namespace

at::Tensor Pattern(int64_t key, at::IntArrayRef shape) {
  const at::Tensor places = torch::arange(c10::multiply_integers(shape), torch::kInt64);
  const at::Tensor values = torch::remainder(places * 7919 + key * 104729, 1009) - 504;
  return (values.to(torch::kFloat64) / 512).view(shape);
}

KnownNetwork::KnownNetwork(const torch::jit::Module& module, at::ScalarType type)
    : module_(module) {
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

at::Tensor KnownNetwork::Forward(const std::vector<at::Tensor>& inputs, bool training) {
  module_.train(training);
  return module_.forward({inputs.begin(), inputs.end()}).toTensor();
}

SampleSpec SpecOfCase(const nlohmann::json& one) {
  SampleSpec spec;
  for (const nlohmann::json& input : one.at("inputs")) {
    InputSpec& added = spec.inputs.emplace_back();
    added.name = input.at("name");
    added.shape = input.at("shape").get<std::vector<int64_t>>();
    added.vocabulary = input.value("vocabulary", 0);
    added.type =
        added.vocabulary > 0 || added.name == "mask" ? ElementType::kInt64 : ElementType::kFloat32;
  }
  spec.answer.positions = one.at("positions").get<std::vector<int64_t>>();
  return spec;
}

std::vector<at::Tensor> KnownInputs(const SampleSpec& spec, int64_t rows, at::ScalarType type) {
  std::vector<at::Tensor> inputs;
  for (size_t i = 0; i < spec.inputs.size(); ++i) {
    const InputSpec& input = spec.inputs[i];
    std::vector<int64_t> shape{rows};
    shape.insert(shape.end(), input.shape.begin(), input.shape.end());
    const auto key = static_cast<int64_t>(i);
    inputs.push_back(input.vocabulary > 0   ? KnownTokens(key, shape, input.vocabulary)
                     : input.name == "mask" ? KnownMask(rows, input.shape[0])
                                            : Pattern(1000 + key, shape).to(type));
  }
  return inputs;
}

void GoldenComparison::ExpectRows(const at::Tensor& got, const nlohmann::json& rows) const {
  const at::Tensor flat = got.detach().to(torch::kFloat64).flatten();
  const std::vector<double> expected = Flatten(rows);
  ASSERT_EQ(flat.numel(), static_cast<int64_t>(expected.size()));
  for (int64_t i = 0; i < flat.numel(); ++i) {
    EXPECT_NEAR(flat[i].item<double>(), expected[static_cast<size_t>(i)], tolerance_)
        << "place " << i;
  }
}

void GoldenComparison::ExpectSummary(const std::string& name, const at::Tensor& tensor,
                                     const nlohmann::json& expected) const {
  SCOPED_TRACE(name);
  const at::Tensor values = tensor.detach().to(torch::kFloat64);
  const auto norm = expected.at("norm").get<double>();
  const double tolerance = tolerance_ * (1 + norm);
  EXPECT_NEAR(values.norm().item<double>(), norm, tolerance);
  EXPECT_NEAR((values * Pattern(2000, values.sizes())).sum().item<double>(),
              expected.at("projection").get<double>(), tolerance);
  const at::Tensor flat = values.flatten();
  for (size_t i = 0; i < expected.at("first").size(); ++i) {
    EXPECT_NEAR(flat[static_cast<int64_t>(i)].item<double>(), expected.at("first")[i].get<double>(),
                tolerance);
  }
}

void GoldenComparison::ExpectLogits(const std::string& name, const at::Tensor& logits,
                                    const nlohmann::json& expected) const {
  if (expected.is_object()) return ExpectSummary(name, logits, expected);
  SCOPED_TRACE(name);
  ExpectRows(logits, expected);
}

void GoldenComparison::ExpectCase(const nlohmann::json& one, KnownNetwork& network,
                                  const std::vector<at::Tensor>& inputs,
                                  const at::Tensor& labels) const {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& [name, tensor] : network.tensors()) shapes[name] = tensor.sizes().vec();
  EXPECT_EQ(shapes, (one.at("shapes").get<std::map<std::string, std::vector<int64_t>>>()));

  ExpectLogits("logits in evaluation", network.Forward(inputs, /*training=*/false),
               one.at("logits_in_evaluation"));
  const at::Tensor logits = network.Forward(inputs, /*training=*/true);
  ExpectLogits("logits in training", logits, one.at("logits_in_training"));
  at::cross_entropy_loss(logits.reshape({labels.numel(), -1}), labels).backward();
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

}  // namespace distillery

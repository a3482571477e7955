// mlp on tables, transformer, gru and unet as modules; tests/golden holds them against PyTorch.
#include <cmath>
#include <map>
#include <sstream>

#include "common/nn/architecture.h"
#include "common/nn/int8_weights.h"
#include "common/nn/module_weights.h"
#include "common/nn/student_check.h"
#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

constexpr int64_t kRows = 3;
constexpr int64_t kLength = 6;
constexpr int64_t kVocabulary = 11;
constexpr int64_t kAnswers = 4;

SampleSpec Samples(const std::vector<InputSpec>& inputs,
                   const std::vector<int64_t>& positions = {}) {
  return {inputs, {AnswerKind::kClasses, positions}};
}

InputSpec Tokens() { return {"tokens", ElementType::kInt64, {kLength}, 0, kVocabulary}; }
InputSpec Mask() { return {"mask", ElementType::kUInt8, {kLength}, 0, 0}; }
InputSpec Numbers(const std::vector<int64_t>& shape) {
  return {"numbers", ElementType::kFloat32, shape, 0, 0};
}

struct Network {
  std::string architecture;
  SampleSpec spec;
};

// Each family in each of its uses.
std::vector<Network> Networks() {
  return {{"mlp:9-8-4", Samples({Numbers({2, 4}), {"age", ElementType::kFloat32, {}, 0, 0}})},
          {"transformer:2-2-8", Samples({Tokens(), Mask()})},
          {"transformer:2-2-8", Samples({Tokens()}, {kLength})},
          {"transformer:2-2-8,causal", Samples({Tokens()}, {kLength})},
          {"gru:8-2", Samples({Tokens(), Mask()})},
          {"gru:8", Samples({Numbers({3, kLength})}, {kLength})},
          {"gru:8,channels_last", Samples({Numbers({kLength, 3})})},
          {"unet:4", Samples({Numbers({2, 8, 12})}, {8, 12})},
          {"unet:4-2", SampleSpec{SampleSpec::Pictures({1, 6, 4}, 255).inputs,
                                  {AnswerKind::kClasses, {6, 4}}}}};
}

torch::jit::Module Build(const std::string& architecture, const SampleSpec& spec,
                         int64_t seed = 1) {
  auto module = BuildArchitecture(architecture, spec, kAnswers, seed);
  EXPECT_THAT(module, IsOk()) << architecture;
  return *std::move(module);
}

std::vector<at::Tensor> RandomInputs(const SampleSpec& spec) {
  std::vector<at::Tensor> inputs;
  for (const InputSpec& input : spec.inputs) {
    std::vector<int64_t> shape{kRows};
    shape.insert(shape.end(), input.shape.begin(), input.shape.end());
    if (input.vocabulary > 0) {
      inputs.push_back(torch::randint(input.vocabulary, shape, at::kLong));
    } else if (input.name == "mask") {
      inputs.push_back(torch::ones(shape, at::kLong));
    } else {
      inputs.push_back(torch::rand(shape));
    }
  }
  return inputs;
}

at::Tensor Forward(torch::jit::Module module, const std::vector<at::Tensor>& inputs) {
  return module.forward({inputs.begin(), inputs.end()}).toTensor();
}

// With a label for each row, which all its positions have.
at::Tensor Loss(const torch::jit::Module& module, const std::vector<at::Tensor>& inputs) {
  const at::Tensor logits = Forward(module, inputs).reshape({-1, kAnswers});
  return at::cross_entropy_loss(
      logits, torch::arange(kRows, at::kLong).repeat_interleave(logits.size(0) / kRows));
}

// Plain descent on one batch.
void Train(const torch::jit::Module& module, const std::vector<at::Tensor>& inputs, int steps) {
  for (int step = 0; step < steps; ++step) {
    Loss(module, inputs).backward();
    const torch::NoGradGuard still;
    for (at::Tensor parameter : module.parameters()) {
      parameter.sub_(parameter.grad() * 0.1);
      parameter.mutable_grad().reset();
    }
  }
}

std::string Digest(const torch::jit::Module& module) { return WeightsOf(module)->Sha256(); }

torch::jit::Module SavedAndLoaded(const torch::jit::Module& module) {
  std::stringstream bytes;
  module.save(bytes);
  return torch::jit::load(bytes);
}

at::Tensor Parameter(const torch::jit::Module& module, const std::string& name) {
  for (const auto& parameter : module.named_parameters()) {
    if (parameter.name == name) return parameter.value.detach();
  }
  ADD_FAILURE() << "no parameter " << name;
  return torch::zeros({1});
}

TEST(SampleNetwork, TransformersHaveAsManyParametersAsCountedByHand) {
  // Two norms; queries, keys, values; what mixes them; two layers of four times the width.
  constexpr int64_t kWidth = 8;
  const int64_t layer = 4 * kWidth + (24 * 8 + 24) + (8 * 8 + 8) + (32 * 8 + 32) + (8 * 32 + 8);
  for (const int64_t layers : {1, 2, 5}) {
    const std::string name = "transformer:" + std::to_string(layers) + "-2-8";
    EXPECT_EQ(
        CountParameters(Build(name, Samples({Tokens()}))),
        (kVocabulary + kLength) * kWidth + layers * layer + 2 * kWidth + (kWidth + 1) * kAnswers);
  }
}

TEST(SampleNetwork, RecurrentOnesHaveAsManyParametersAsCountedByHand) {
  constexpr int64_t kStates = 8;
  const int64_t further = 3 * kStates * kStates * 2 + 2 * 3 * kStates;
  EXPECT_EQ(CountParameters(Build("gru:8-3", Samples({Tokens()}))),
            kVocabulary * 8 + 3 * further + 8 * kAnswers + kAnswers);
  EXPECT_EQ(CountParameters(Build("gru:8", Samples({Numbers({3, kLength})}))),
            3 * 8 * 3 + 3 * 8 * 8 + 2 * 3 * 8 + 8 * kAnswers + kAnswers);
}

TEST(SampleNetwork, UnetsHaveAsManyParametersAsCountedByHand) {
  const auto twice = [](int64_t in, int64_t out) { return 9 * in * out + 9 * out * out + 4 * out; };
  const int64_t head = 4 * kAnswers + kAnswers;
  EXPECT_EQ(CountParameters(Build("unet:4-2", Samples({Numbers({1, 8, 8})}, {8, 8}))),
            twice(1, 4) + twice(4, 8) + twice(12, 4) + head);
  EXPECT_EQ(CountParameters(Build("unet:4", Samples({Numbers({1, 8, 8})}, {8, 8}))),
            twice(1, 4) + twice(4, 8) + twice(8, 16) + twice(24, 8) + twice(12, 4) + head);
}

TEST(SampleNetwork, EachPositionGetsItsAnswers) {
  for (const Network& network : Networks()) {
    SCOPED_TRACE(network.architecture + " on " + network.spec.ToString());
    std::vector<int64_t> shape{kRows};
    for (const int64_t size : network.spec.answer.positions) shape.push_back(size);
    shape.push_back(kAnswers);
    const torch::jit::Module module = Build(network.architecture, network.spec);
    EXPECT_EQ(Forward(module, RandomInputs(network.spec)).sizes().vec(), shape);
    EXPECT_THAT(CheckTrainable(module), IsOk());
  }
}

TEST(SampleNetwork, ParametersArePureInTheSeed) {
  for (const Network& network : Networks()) {
    const auto digest = [&](const std::string& options, int64_t seed) {
      return Digest(Build(network.architecture + options, network.spec, seed));
    };
    EXPECT_EQ(digest("", 1), digest("", 1)) << network.architecture;
    EXPECT_NE(digest("", 1), digest("", 2)) << network.architecture;
    EXPECT_EQ(digest("", 3), digest(",dropout=0.3,input_dropout=0.1", 3)) << network.architecture;
  }
}

TEST(SampleNetwork, TrainingRepeatsBitForBitAlsoAfterAFile) {
  for (const Network& network : Networks()) {
    SCOPED_TRACE(network.architecture + " on " + network.spec.ToString());
    const std::vector<at::Tensor> inputs = RandomInputs(network.spec);
    const torch::jit::Module a = Build(network.architecture, network.spec);
    const torch::jit::Module b = Build(network.architecture, network.spec);
    const torch::jit::Module c = SavedAndLoaded(a);
    const std::string start = Digest(a);
    for (const torch::jit::Module& module : {a, b, c}) Train(module, inputs, 3);
    EXPECT_NE(Digest(a), start);
    EXPECT_EQ(Digest(a), Digest(b));
    EXPECT_EQ(Digest(a), Digest(c));
    EXPECT_TRUE(at::equal(Forward(a, inputs), Forward(SavedAndLoaded(b), inputs)));
  }
}

TEST(SampleNetwork, TheLossOfABatchFalls) {
  for (const Network& network : Networks()) {
    SCOPED_TRACE(network.architecture + " on " + network.spec.ToString());
    const std::vector<at::Tensor> inputs = RandomInputs(network.spec);
    const torch::jit::Module module = Build(network.architecture, network.spec);
    const auto before = Loss(module, inputs).item<double>();
    Train(module, inputs, 40);
    EXPECT_LT(Loss(module, inputs).item<double>(), 0.9 * before);
  }
}

TEST(SampleNetwork, DropoutWorksInTrainingAlone) {
  for (const Network& network : Networks()) {
    if (network.architecture == "gru:8" || network.architecture == "gru:8,channels_last") continue;
    SCOPED_TRACE(network.architecture);
    torch::jit::Module module = Build(network.architecture + ",dropout=0.3", network.spec);
    torch::jit::Module plain = Build(network.architecture, network.spec);
    const std::vector<at::Tensor> inputs = RandomInputs(network.spec);
    EXPECT_FALSE(at::equal(Forward(module, inputs), Forward(module, inputs)));
    // BatchNorm's running statistics have moved.
    module = Build(network.architecture + ",dropout=0.3", network.spec);
    module.eval();
    plain.eval();
    EXPECT_TRUE(at::equal(Forward(module, inputs), Forward(plain, inputs)));
  }
}

TEST(SampleNetwork, ACausalTransformerSeesNoLaterToken) {
  const SampleSpec spec = Samples({Tokens()}, {kLength});
  std::vector<at::Tensor> inputs = RandomInputs(spec);
  const torch::jit::Module causal = Build("transformer:2-2-8,causal", spec);
  const torch::jit::Module tagger = Build("transformer:2-2-8", spec);
  const at::Tensor before = Forward(causal, inputs);
  const at::Tensor tags = Forward(tagger, inputs);
  for (int64_t place = 1; place < kLength; ++place) {
    std::vector<at::Tensor> other{inputs[0].clone()};
    other[0].narrow(1, place, kLength - place).add_(1).remainder_(kVocabulary);
    const at::Tensor after = Forward(causal, other);
    EXPECT_TRUE(at::equal(after.narrow(1, 0, place), before.narrow(1, 0, place))) << place;
    EXPECT_FALSE(at::equal(after.select(1, place), before.select(1, place))) << place;
    EXPECT_FALSE(at::equal(Forward(tagger, other).select(1, 0), tags.select(1, 0))) << place;
  }
}

TEST(SampleNetwork, TokensThatDoNotCountChangeNothing) {
  for (const char* const name : {"transformer:2-2-8", "gru:8-2"}) {
    SCOPED_TRACE(name);
    const SampleSpec spec = Samples({Tokens(), Mask()});
    const torch::jit::Module module = Build(name, spec);
    std::vector<at::Tensor> inputs = RandomInputs(spec);
    inputs[1].narrow(1, 4, 2).zero_();
    const at::Tensor before = Forward(module, inputs);
    inputs[0].narrow(1, 4, 2).add_(1).remainder_(kVocabulary);
    EXPECT_TRUE(at::equal(Forward(module, inputs), before));
    inputs[0].select(1, 3).add_(1).remainder_(kVocabulary);
    EXPECT_FALSE(at::equal(Forward(module, inputs), before));
  }
}

TEST(SampleNetwork, ATaggerDoesNotLookAtTokensThatDoNotCount) {
  const SampleSpec spec = Samples({Mask(), Tokens()}, {kLength});
  const torch::jit::Module module = Build("transformer:2-2-8", spec);
  std::vector<at::Tensor> inputs = RandomInputs(spec);
  inputs[0].select(1, 5).zero_();
  const at::Tensor before = Forward(module, inputs);
  inputs[1].select(1, 5).add_(1).remainder_(kVocabulary);
  EXPECT_TRUE(at::equal(Forward(module, inputs).narrow(1, 0, 5), before.narrow(1, 0, 5)));
}

TEST(SampleNetwork, AnAnswerIsFiniteWhereNoTokenCounts) {
  for (const Network& network : Networks()) {
    if (network.spec.inputs.back().name != "mask") continue;
    std::vector<at::Tensor> inputs = RandomInputs(network.spec);
    inputs[1].zero_();
    const torch::jit::Module module = Build(network.architecture, network.spec);
    EXPECT_TRUE(Forward(module, inputs).isfinite().all().item<bool>()) << network.architecture;
    Train(module, inputs, 1);
    for (const at::Tensor& parameter : module.parameters()) {
      EXPECT_TRUE(parameter.isfinite().all().item<bool>()) << network.architecture;
    }
  }
}

TEST(SampleNetwork, ATokenBeyondTheVocabularyIsNoToken) {
  const SampleSpec spec = Samples({Tokens()});
  const torch::jit::Module module = Build("transformer:1-1-8", spec);
  EXPECT_ANY_THROW(Forward(module, {torch::full({1, kLength}, kVocabulary, at::kLong)}));
}

TEST(SampleNetwork, Int8WeightsDoAlmostAsWell) {
  for (const Network& network : Networks()) {
    SCOPED_TRACE(network.architecture + " on " + network.spec.ToString());
    torch::jit::Module module = Build(network.architecture, network.spec);
    const std::vector<at::Tensor> inputs = RandomInputs(network.spec);
    Train(module, inputs, 5);
    module.eval();
    ASSERT_OK_AND_ASSIGN(const torch::jit::Module int8, WithInt8Weights(module));
    EXPECT_TRUE(HasInt8Weights(int8));
    EXPECT_EQ(CountParameters(int8), CountParameters(module));
    const at::Tensor expected = Forward(module, inputs).detach();
    const at::Tensor got = Forward(SavedAndLoaded(int8), inputs).detach();
    EXPECT_FALSE(at::equal(got, expected));
    EXPECT_LT((got - expected).abs().max().item<double>(),
              0.1 * expected.std().item<double>() + 0.02);
  }
}

TEST(SampleNetwork, ParametersStartAsPyTorchsModulesDo) {
  const SampleSpec spec = Samples({{"tokens", ElementType::kInt32, {500}, 0, 1000}});
  const torch::jit::Module transformer = Build("transformer:1-4-32", spec);
  for (const char* const name : {"tokens.weight", "positions.weight"}) {
    const at::Tensor weight = Parameter(transformer, name);
    EXPECT_NEAR(weight.mean().item<double>(), 0, 0.001) << name;
    EXPECT_NEAR(weight.std().item<double>(), 0.02, 0.001) << name;
  }
  EXPECT_TRUE(at::equal(Parameter(transformer, "encoder.norm.weight"), torch::ones({32})));
  EXPECT_TRUE(at::equal(Parameter(transformer, "encoder.layers.0.norm1.bias"), torch::zeros({32})));
  const std::map<std::string, double> bounds = {
      {"encoder.layers.0.self_attn.in_proj_weight", 1 / std::sqrt(32)},
      {"encoder.layers.0.linear2.weight", 1 / std::sqrt(128)}};
  for (const auto& [name, bound] : bounds) {
    const at::Tensor weight = Parameter(transformer, name);
    EXPECT_LE(weight.abs().max().item<double>(), bound) << name;
    EXPECT_GT(weight.abs().max().item<double>(), 0.99 * bound) << name;
  }
  const at::Tensor weight = Parameter(Build("gru:64", spec), "gru.weight_ih_l0");
  EXPECT_LE(weight.abs().max().item<double>(), 0.125);
  EXPECT_GT(weight.abs().max().item<double>(), 0.124);
}

}  // namespace
}  // namespace distillery

#include "common/nn/model_probe.h"

#include "common/nn/architecture.h"
#include "common/nn/model_call.h"
#include "common/nn/numerics.h"
#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A module of a forward whose body is `body` and returns what is said of `y`, the four pixels
// [rows, 4] of its input.
torch::jit::Module Of(const std::string& body) {
  torch::jit::Module module = ModuleOf(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    y = torch.flatten(x, 1)\n" +
      body);
  module.eval();
  return module;
}

absl::Status ProbeOf(torch::jit::Module module, const ModelCard& card = SmallCard()) {
  ModelCard asked = card;
  return ProbeModule(module, {}, &asked);
}

void ExpectRefused(const absl::Status& status, const ::testing::Matcher<std::string>& message) {
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, message));
}

TEST(ModelProbe, TakesPureFunctionsOfEachRow) {
  EXPECT_THAT(ProbeOf(BrightnessModule()), IsOk());
  EXPECT_THAT(ProbeOf(Of("    return torch.log_softmax(y[:, 0:2], 1)\n")), IsOk());
  // Normalised by its own picture, and by numbers learnt.
  EXPECT_THAT(
      ProbeOf(Of("    return torch.instance_norm(x, None, None, None, None, True, 0.1, 1e-5, "
                 "False).flatten(1)[:, 0:2]\n")),
      IsOk());
  torch::jit::Module norm("Small");
  norm.register_attribute("training", c10::BoolType::get(), false);
  norm.register_buffer("mean", torch::full({1}, 0.5));
  norm.register_buffer("variance", torch::full({1}, 0.1));
  norm.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.batch_norm(x, None, None, self.mean, self.variance, self.training, "
      "0.1, 1e-5, False).flatten(1)[:, 0:2]\n");
  EXPECT_THAT(ProbeOf(norm), IsOk());
  ModelCard card = SmallCard();
  card.samples = SampleSpec::Pictures({3, 32, 32}, 255);
  card.mean = {0.5F, 0.5F, 0.5F};
  card.deviation = {0.2F, 0.2F, 0.2F};
  card.class_names = {"a", "b", "c", "d", "e"};
  for (const char* const architecture :
       {"lenet", "resnet8", "wrn-10-2,dropout=0.3", "mlp:3072-32-5,dropout=0.5"}) {
    ASSERT_OK_AND_ASSIGN(torch::jit::Module module,
                         BuildArchitecture(architecture, card.samples.picture_shape(), 5, 1));
    module.eval();
    EXPECT_THAT(ProbeOf(module, card), IsOk()) << architecture;
  }
}

TEST(ModelProbe, Fault68_WhatDrawsRandomNumbersIsRefused) {
  torch::manual_seed(1);
  for (const char* const body : {"    return torch.dropout(y, 0.5, True)[:, 0:2]\n",
                                 "    return y[:, 0:2] + torch.randn([x.size(0), 2])\n",
                                 // Seldom enough to be missed by two calls.
                                 "    return torch.dropout(y, 0.02, True)[:, 0:2]\n",
                                 "    return y[:, 0:2] + torch.rand([1]).lt(0.3).to(6)\n"}) {
    ExpectRefused(ProbeOf(Of(body)),
                  AllOf(HasSubstr("two calls with the same pictures get answers that differ"),
                        HasSubstr("random numbers"), HasSubstr("net.eval()")));
  }
}

TEST(ModelProbe, Fault68_WhatDependsOnItsBatchIsRefused) {
  for (const char* const body :
       {"    return torch.softmax(y[:, 0:2], 0)\n", "    return y[:, 0:2] - torch.mean(y)\n",
        // BatchNorm without running statistics.
        "    return torch.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, "
        "False).flatten(1)[:, 0:2]\n",
        // The place in the batch.
        "    return y[:, 0:2] + torch.arange(x.size(0)).unsqueeze(1)\n"}) {
    ExpectRefused(ProbeOf(Of(body)),
                  AllOf(HasSubstr("depends on its batch"), HasSubstr("running statistics")));
  }
}

TEST(ModelProbe, Fault68_BatchNormOfVectorsThatTakesNoSingleRowIsNamed) {
  // As torch.nn.functional.batch_norm says it.
  ExpectRefused(
      ProbeOf(Of("    assert x.size(0) > 1, \"Expected more than 1 value per channel when "
                 "training\"\n"
                 "    return torch.batch_norm(y, None, None, None, None, True, 0.1, 1e-5, "
                 "False)[:, 0:2]\n")),
      AllOf(HasSubstr("4 rows, but not 1"), HasSubstr("BatchNorm"), HasSubstr("net.eval()")));
}

TEST(ModelProbe, Fault68_WhatKeepsStateIsRefused) {
  torch::jit::Module counts("Small");
  counts.register_buffer("calls", torch::zeros({1}));
  counts.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.calls.add_(1)\n"
      "    return x.flatten(1)[:, 0:2] + self.calls\n");
  ExpectRefused(ProbeOf(counts), AllOf(HasSubstr("differ"), HasSubstr("keeps state"),
                                       HasSubstr("calls"), Not(HasSubstr("random"))));
  // Which no answer shows yet.
  torch::jit::Module silent("Small");
  silent.register_attribute("calls", c10::IntType::get(), 0);
  silent.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.calls = self.calls + 1\n"
      "    return x.flatten(1)[:, 0:2] + max(self.calls - 100, 0)\n");
  ExpectRefused(ProbeOf(silent), AllOf(HasSubstr("keeps state"), HasSubstr("calls")));
}

TEST(ModelProbe, WhatIsMadeOnceAtTheFirstCallIsNoState) {
  torch::jit::Module lazy("Small");
  lazy.register_attribute("ready", c10::BoolType::get(), false);
  lazy.register_buffer("table", torch::zeros({2}));
  lazy.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    if not self.ready:\n"
      "        self.table.add_(torch.arange(2))\n"
      "        self.ready = True\n"
      "    return x.flatten(1)[:, 0:2] + self.table\n");
  EXPECT_THAT(ProbeOf(lazy), IsOk());
}

TEST(ModelProbe, Fault68_AFixedNumberOfRowsIsNamed) {
  ExpectRefused(ProbeOf(Of("    return x.reshape([1, 4])[:, 0:2]\n")),
                AllOf(HasSubstr("one row, but not 4"), HasSubstr("invalid for input of size"),
                      HasSubstr("flatten")));
  ExpectRefused(ProbeOf(Of("    return x.reshape([1, -1])[:, 0:2]\n")),
                AllOf(HasSubstr("one row, but not 4"), HasSubstr("[1, 2]")));
  ExpectRefused(ProbeOf(Of("    assert x.size(0) != 3, \"three is too many\"\n"
                           "    return y[:, 0:2]\n")),
                AllOf(HasSubstr("4 rows, but not 3"), HasSubstr("three is too many")));
}

TEST(ModelProbe, AModelWithoutAFiniteAnswerIsAnError) {
  EXPECT_THAT(ProbeOf(Of("    return y[:, 0:2] / 0 * 0\n")),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("answered with nan")));
}

TEST(ModelProbe, LeavesAsItIsWhatLibTorchDrawsFrom) {
  torch::manual_seed(7);
  const at::Tensor expected = torch::rand({3});
  torch::manual_seed(7);
  EXPECT_THAT(ProbeOf(BrightnessModule()), IsOk());
  EXPECT_TRUE(at::equal(torch::rand({3}), expected));
}

TEST(ModelProbe, FindsTheTypeOfInputsThatAModelTakes) {
  for (const auto& [type, name] : {std::pair(at::kDouble, "float64"), std::pair(at::kFloat, ""),
                                   std::pair(at::kBFloat16, "bfloat16")}) {
    ASSERT_OK_AND_ASSIGN(torch::jit::Module module,
                         BuildArchitecture("mlp:4-8-2", ImageShape{1, 2, 2}, 2, 1));
    module.eval();
    CastFloats(module, type);
    ModelCard card = SmallCard();
    ASSERT_THAT(ProbeModule(module, {}, &card), IsOk()) << name;
    EXPECT_EQ(card.input_type, name);
    EXPECT_EQ(CallModel(module, card, torch::rand({3, 1, 2, 2})).scalar_type(), at::kFloat);
    // A frozen one, whose weights are constants.
    torch::jit::Module frozen = torch::jit::freeze(module);
    card.input_type = "";
    ASSERT_THAT(ProbeModule(frozen, {}, &card), IsOk()) << name;
    EXPECT_EQ(card.input_type, name);
  }
}

TEST(ModelProbe, AModelThatCastsItsInputsKeepsItsCard) {
  torch::jit::Module module("Small");
  module.register_attribute("training", c10::BoolType::get(), false);
  const at::Tensor weight =
      torch::tensor({-1.0, 2.0, 3.0, -4.0, -1.0, 1.0, 0.5, -2.0}, at::kDouble);
  module.register_parameter("weight", weight.view({4, 2}), false);
  module.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.matmul(torch.flatten(x, 1).to(self.weight), self.weight)\n");
  ModelCard card = SmallCard();
  ASSERT_THAT(ProbeModule(module, {}, &card), IsOk());
  EXPECT_EQ(card.input_type, "");
}

TEST(ModelProbe, Float16ThatACpuCannotComputeIsSaid) {
  ASSERT_OK_AND_ASSIGN(torch::jit::Module module,
                       BuildArchitecture("mlp:4-8-2", ImageShape{1, 2, 2}, 2, 1));
  module.eval();
  CastFloats(module, at::kHalf);
  ModelCard card = SmallCard();
  const absl::Status probed = ProbeModule(module, {}, &card);
  if (probed.ok()) {
    EXPECT_EQ(card.input_type, "float16");
    GTEST_SKIP() << "this LibTorch multiplies float16 on a CPU";
  }
  ExpectRefused(probed, AllOf(HasSubstr("computes in float16"), HasSubstr("--precision float32"),
                              HasSubstr("net.float()")));
}

TEST(ModelProbe, CastsFloatingPointNumbersAlone) {
  torch::jit::Module module("Small");
  module.register_parameter("weight", torch::rand({4}), false);
  module.register_buffer("order", torch::tensor({int64_t{1000001}, int64_t{3}}));
  module.register_buffer("mask", torch::tensor({true, false}));
  module.register_buffer("scale", torch::rand({2}));
  CastFloats(module, at::kBFloat16);
  EXPECT_EQ(module.attr("weight").toTensor().scalar_type(), at::kBFloat16);
  EXPECT_EQ(module.attr("scale").toTensor().scalar_type(), at::kBFloat16);
  EXPECT_EQ(module.attr("mask").toTensor().scalar_type(), at::kBool);
  EXPECT_EQ(module.attr("order").toTensor().scalar_type(), at::kLong);
  EXPECT_EQ(module.attr("order").toTensor()[0].item<int64_t>(), 1000001);
}

}  // namespace
}  // namespace distillery

#include "common/nn/student_check.h"

#include "common/nn/model_file.h"
#include "common/nn/student.h"
#include "common/nn/training_flags.h"
#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// A submodule `norm` with a BatchNorm's tensors and a parameter `w` [4, 2], and this forward.
torch::jit::Module WithNorm(const std::string& forward, bool frozen = false) {
  torch::jit::Module module("Net");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.register_attribute("always", c10::BoolType::get(), true);
  module.register_parameter("w", torch::ones({4, 2}).set_requires_grad(true), false);
  torch::jit::Module norm("Norm");
  norm.register_attribute("training", c10::BoolType::get(), true);
  norm.register_parameter("weight", torch::ones({4}).set_requires_grad(!frozen), false);
  norm.register_parameter("bias", torch::zeros({4}).set_requires_grad(!frozen), false);
  norm.register_buffer("running_mean", torch::zeros({4}));
  norm.register_buffer("running_var", torch::ones({4}));
  module.register_module("norm", norm);
  module.define(forward);
  return module;
}

std::string Normed(const std::string& flag) {
  return "def forward(self, x: Tensor) -> Tensor:\n"
         "    x = torch.flatten(x, 1)\n"
         "    x = torch.batch_norm(x, self.norm.weight, self.norm.bias, self.norm.running_mean,\n"
         "        self.norm.running_var, " +
         flag +
         ", 0.1, 1e-5, True)\n"
         "    return torch.matmul(x, self.w)\n";
}

std::string Dropped(const std::string& rate, const std::string& flag) {
  return "def forward(self, x: Tensor) -> Tensor:\n"
         "    x = torch.dropout(torch.flatten(x, 1), " +
         rate + ", " + flag +
         ")\n"
         "    return torch.matmul(x, self.w)\n";
}

testing::Matcher<absl::Status> Refused(const testing::Matcher<std::string>& message) {
  return StatusIs(absl::StatusCode::kInvalidArgument, message);
}

TEST(StudentCheck, LayersThatFollowTheModeAreTaken) {
  for (const char* const flag :
       {"self.training", "self.norm.training", "not (not self.training)"}) {
    EXPECT_THAT(CheckTrainable(WithNorm(Normed(flag))), IsOk()) << flag;
    EXPECT_THAT(CheckTrainable(WithNorm(Dropped("0.5", flag))), IsOk()) << flag;
  }
  const torch::jit::Module branches = WithNorm(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    x = torch.flatten(x, 1)\n"
      "    if self.training:\n"
      "        x = torch.dropout(x, 0.5, True)\n"
      "    return torch.matmul(x, self.w)\n");
  EXPECT_THAT(CheckTrainable(branches), IsOk());
}

TEST(StudentCheck, ADropoutOfAConstantModeIsRefusedWithItsRate) {
  EXPECT_THAT(CheckTrainable(WithNorm(Dropped("0.5", "False"))),
              Refused(AllOf(HasSubstr("a dropout of forward (p = 0.5) is off in training"),
                            HasSubstr("torch.jit.script"))));
  for (const char* const on : {"True", "self.always"}) {
    EXPECT_THAT(CheckTrainable(WithNorm(Dropped("0.5", on))),
                Refused(AllOf(HasSubstr("(p = 0.5) stays on in evaluation"),
                              HasSubstr("training=self.training"))));
  }
  // It changes nothing.
  EXPECT_THAT(CheckTrainable(WithNorm(Dropped("0.", "True"))), IsOk());
}

TEST(StudentCheck, ABatchNormOfAConstantModeIsRefusedByName) {
  EXPECT_THAT(CheckTrainable(WithNorm(Normed("False"))),
              Refused(AllOf(HasSubstr("batch_norm \"norm\" does not learn its statistics"),
                            HasSubstr("requires_grad = False"))));
  EXPECT_THAT(CheckTrainable(WithNorm(Normed("True"))),
              Refused(HasSubstr("batch_norm \"norm\" uses each batch's own statistics in eval")));
}

TEST(StudentCheck, ABatchNormThatIsToStandStillMay) {
  EXPECT_THAT(CheckTrainable(WithNorm(Normed("False"), /*frozen=*/true)), IsOk());
  EXPECT_THAT(CheckTrainable(WithNorm(Normed("True"), /*frozen=*/true)),
              Refused(HasSubstr("in evaluation")));
  // Traced while the layer alone was in eval mode.
  torch::jit::Module traced = WithNorm(Normed("False"));
  traced.attr("norm").toModule().setattr("training", false);
  EXPECT_THAT(CheckTrainable(traced), IsOk());
  // In a model in eval mode as a whole that says nothing.
  traced.setattr("training", false);
  EXPECT_THAT(CheckTrainable(traced), Refused(HasSubstr("norm")));
}

TEST(StudentCheck, ConstantsAreFollowedThroughFunctionsAndSubmodules) {
  torch::jit::Module module = WithNorm(
      "def drop(self, x: Tensor, on: bool) -> Tensor:\n"
      "    return torch.dropout(x, 0.25, on)\n"
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    x = self.drop(torch.flatten(x, 1), self.training)\n"
      "    return torch.matmul(self.drop(x, False), self.w)\n");
  EXPECT_THAT(CheckTrainable(module), Refused(HasSubstr("(p = 0.25) is off in training too")));
  const ForwardReading reading = ReadForward(module, /*training=*/true);
  ASSERT_THAT(reading.layers, SizeIs(2));
  EXPECT_EQ(reading.layers[0].training, true);
  EXPECT_EQ(reading.layers[1].training, false);
  EXPECT_EQ(ReadForward(module, /*training=*/false).layers[0].training, false);
}

TEST(StudentCheck, WhatTheCodeDecidesWhileItRunsIsNotJudged) {
  const torch::jit::Module module = WithNorm(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    x = torch.flatten(x, 1)\n"
      "    x = torch.dropout(x, 0.5, bool(x.sum() > 0))\n"
      "    return torch.matmul(x, self.w)\n");
  EXPECT_THAT(CheckTrainable(module), IsOk());
  EXPECT_FALSE(ReadForward(module, true).layers.at(0).training.has_value());
}

TEST(StudentCheck, ARecurrentLayersDropoutCounts) {
  const auto lstm = [](const std::string& rate, const std::string& flag) {
    return WithNorm(
        "def forward(self, x: Tensor) -> Tensor:\n"
        "    x = torch.flatten(x, 1)\n"
        "    h = torch.zeros([2, 1, 4])\n"
        "    y = torch.gru(x.unsqueeze(1), h, [self.w], False, 2, " +
        rate + ", " + flag +
        ", False, False)\n"
        "    return torch.matmul(y[0].squeeze(1), self.w)\n");
  };
  EXPECT_THAT(CheckTrainable(lstm("0.5", "False")), Refused(HasSubstr("gru of forward (p = 0.5)")));
  EXPECT_THAT(CheckTrainable(lstm("0.", "False")), IsOk());
}

TEST(StudentCheck, AModuleWithoutAnythingToTrainIsRefused) {
  torch::jit::Module module = WithNorm(Normed("self.training"), /*frozen=*/true);
  EXPECT_THAT(CheckTrainable(module), IsOk());
  module.attr("w").toTensor().set_requires_grad(false);
  EXPECT_THAT(CheckTrainable(module), Refused(AllOf(HasSubstr("all 3 parameters are frozen"),
                                                    HasSubstr("requires_grad_(True)"))));
}

TEST(StudentCheck, TrainedParametersOfOtherTypesAreNamed) {
  torch::jit::Module module = WithNorm(Normed("self.training"));
  module.register_parameter("d", torch::ones({1}, torch::kFloat64).set_requires_grad(true), false);
  EXPECT_THAT(CheckTrainable(module), Refused(HasSubstr("\"d\" is Double")));
  module.attr("d").toTensor().set_requires_grad(false);
  EXPECT_THAT(CheckTrainable(module), IsOk());
}

TEST(StudentCheck, AnOutputThatChangesItsFormInTrainingIsRefused) {
  const torch::jit::Module tuple = WithNorm(
      "def forward(self, x: Tensor) -> Any:\n"
      "    x = torch.matmul(torch.flatten(x, 1), self.w)\n"
      "    if self.training:\n"
      "        return (x, x)\n"
      "    return x\n");
  EXPECT_THAT(CheckTrainable(tuple),
              Refused(AllOf(HasSubstr("in training its forward returns"), HasSubstr("Tuple"))));
  EXPECT_THAT(CheckTrainingOutput(tuple, SmallCard()), Refused(HasSubstr("Tuple")));
  const torch::jit::Module wide = WithNorm(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    x = torch.matmul(torch.flatten(x, 1), self.w)\n"
      "    return torch.cat([x, x], 1) if self.training else x\n");
  EXPECT_THAT(CheckTrainable(wide), IsOk());
  EXPECT_THAT(CheckTrainingOutput(wide, SmallCard()),
              Refused(HasSubstr("a tensor [4, 4] for 4 rows and 2 classes")));
}

TEST(StudentCheck, LogitsThatNoParameterMovesAreRefused) {
  EXPECT_THAT(CheckTrainingOutput(WithNorm(Normed("self.training")), SmallCard()), IsOk());
  const torch::jit::Module cut = WithNorm(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.matmul(torch.flatten(x, 1), self.w).detach()\n");
  EXPECT_THAT(CheckTrainingOutput(cut, SmallCard()), Refused(HasSubstr("nothing would learn")));
}

TEST(StudentCheck, RunningAProbeMovesNoStatistics) {
  const torch::jit::Module module = WithNorm(Normed("self.training"));
  const at::Tensor mean = module.attr("norm").toModule().attr("running_mean").toTensor().clone();
  ASSERT_THAT(CheckTrainingOutput(module, SmallCard()), IsOk());
  EXPECT_TRUE(at::equal(module.attr("norm").toModule().attr("running_mean").toTensor(), mean));
}

TEST(StudentOf, KeepsSubmodulesInEvalThatTheFileHasSo) {
  torch::jit::Module module = WithNorm(Normed("self.norm.training"));
  module.attr("norm").toModule().setattr("training", false);
  EXPECT_EQ(ModulesInEval(module), std::vector<std::string>{"norm"});
  const std::vector<std::string> kept = ModulesInEval(module);
  module.eval();
  EXPECT_TRUE(ModulesInEval(module).empty());
  ASSERT_OK_AND_ASSIGN(torch::jit::Module student, StudentOf(module, "net.pt", kept));
  EXPECT_TRUE(student.is_training());
  EXPECT_FALSE(student.attr("norm").toModule().is_training());
  // An exported student is in eval mode as a whole, and still says it.
  student.eval();
  ASSERT_OK_AND_ASSIGN(const torch::jit::Module again, StudentOf(student, "net.pt", {}));
  EXPECT_TRUE(again.is_training());
  EXPECT_FALSE(again.attr("norm").toModule().is_training());
}

}  // namespace
}  // namespace distillery

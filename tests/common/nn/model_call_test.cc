#include "common/nn/model_call.h"

#include "common/nn/numerics.h"
#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kRows = 3;

// A module whose forward has this signature behind its first argument and its result, and this
// body.
torch::jit::Module Of(const std::string& type, const std::string& body,
                      const std::string& more = "") {
  return ModuleOf("def forward(self, x: Tensor" + more + ") -> " + type +
                  ":\n"
                  "    y = torch.flatten(x, 1)[:, 0:2]\n" +
                  body);
}

at::Tensor Pixels() { return torch::arange(12).to(at::kFloat).view({kRows, 1, 2, 2}); }
at::Tensor FirstTwo() { return Pixels().flatten(1).narrow(1, 0, 2); }

ModelCard With(std::vector<OutputStep> key) {
  ModelCard card = SmallCard();
  card.output_key = std::move(key);
  return card;
}

void ExpectAnswers(const torch::jit::Module& module, std::vector<OutputStep> key) {
  EXPECT_THAT(
      CatchTorchErrors([&] {
        EXPECT_TRUE(at::equal(CallModel(module, With(std::move(key)), Pixels()), FirstTwo()));
        return absl::OkStatus();
      }),
      IsOk());
}

void ExpectRefused(const torch::jit::Module& module, std::vector<OutputStep> key,
                   const ::testing::Matcher<std::string>& message) {
  EXPECT_THAT(CatchTorchErrors([&] {
                (void)CallModel(module, With(std::move(key)), Pixels());
                return absl::OkStatus();
              }),
              StatusIs(absl::StatusCode::kInternal, message));
}

TEST(ModelCall, ThePartThatTheCardNamesCounts) {
  ExpectAnswers(Of("Tensor", "    return y\n"), {});
  ExpectAnswers(Of("Dict[str, Tensor]", "    return {\"features\": x, \"logits\": y}\n"),
                {"logits"});
  ExpectAnswers(Of("Dict[int, Tensor]", "    return {7: y, 0: x}\n"), {7});
  ExpectAnswers(Of("Tuple[Tensor, Tensor]", "    return (x, y)\n"), {1});
  ExpectAnswers(Of("List[Tensor]", "    return [y, x]\n"), {0});
  ExpectAnswers(Of("Tuple[int, Dict[str, Tensor]]", "    return (5, {\"logits\": y})\n"),
                {1, "logits"});
}

TEST(ModelCall, Fault68_WhatIsThereIsSaidWithoutAKey) {
  ExpectRefused(Of("Dict[str, Tensor]", "    return {\"logits\": y, \"features\": x}\n"), {},
                AllOf(HasSubstr("not one tensor but a dict of \"logits\": [3, 2], \"features\": "
                                "[3, 1, 2, 2]"),
                      HasSubstr("\"output_key\": \"logits\"")));
  ExpectRefused(Of("Tuple[Tensor, int]", "    return (y, 5)\n"), {},
                AllOf(HasSubstr("a tuple of 0: [3, 2], 1: (Int)"), HasSubstr("\"output_key\": 0")));
  ExpectRefused(Of("List[Tensor]", "    return [x]\n"), {}, HasSubstr("a list of 0: [3, 1, 2, 2]"));
  ExpectRefused(Of("Optional[Tensor]", "    return None\n"), {}, HasSubstr("of the kind None"));
}

TEST(ModelCall, Fault68_AKeyThatIsNotThereNamesThoseThatAre) {
  const auto dict = Of("Dict[str, Tensor]", "    return {\"logits\": y}\n");
  ExpectRefused(dict, {"logit"},
                AllOf(HasSubstr("names \"logit\", but"), HasSubstr("\"logits\": [3, 2]")));
  ExpectRefused(dict, {0}, HasSubstr("names 0, but"));
  ExpectRefused(dict, {"logits", 0}, HasSubstr("names 0 of one tensor"));
  ExpectRefused(Of("Tuple[Tensor, Tensor]", "    return (x, y)\n"), {2}, HasSubstr("names 2, but"));
  ExpectRefused(Of("Tensor", "    return y\n"), {0}, HasSubstr("leave that out"));
}

TEST(ModelCall, FurtherArgumentsMayBeOptional) {
  for (const char* const more : {", scale: float=1.0", ", mask: Optional[Tensor]=None",
                                 ", mask: Optional[Tensor], scale: float=1.0"}) {
    const auto module = Of("Tensor", "    return y\n", more);
    EXPECT_THAT(CheckForward(module), IsOk()) << more;
    ExpectAnswers(module, {});
  }
  EXPECT_THAT(
      CheckForward(Of("Tensor", "    return y\n", ", mask: Tensor")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("takes 2 inputs, not one (x, mask)")));
  EXPECT_THAT(CheckForward(ModuleOf("def forward(self) -> int:\n    return 1\n")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("takes 0 inputs")));
  EXPECT_THAT(
      CheckForward(ModuleOf("def forward(self, x: List[Tensor]) -> Tensor:\n    return x[0]\n")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("List[Tensor]")));
}

TEST(ModelCall, AClearlyNegativeProbabilityHasNoLogarithm) {
  ModelCard card = SmallCard();
  card.outputs_probabilities = true;
  const at::Tensor logits = LogitsOf(torch::tensor({{0.25F, -1e-7F}, {1.5F, -0.5F}}), card);
  EXPECT_FLOAT_EQ(logits[0][0].item<float>(), std::log(0.25F));
  EXPECT_FLOAT_EQ(logits[0][1].item<float>(), std::log(1e-30F));
  EXPECT_TRUE(std::isnan(logits[1][1].item<float>()));
}

}  // namespace
}  // namespace distillery

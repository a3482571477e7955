#include "common/nn/evaluation.h"

#include <cmath>

#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Five images of brightness 0, 1/4, 1/2, 3/4 and 1 with logits (1, 0), (1, 1), (1, 2), (1, 3) and
// (1, 4). The model says dark, dark (a tie, the first wins), light, light, light.
const std::vector<int> kPixels = {0, 1, 2, 3, 4};
const std::vector<int32_t> kLabels = {0, 1, 1, 0, 1};

class EvaluationTest : public ::testing::Test {
 protected:
  torch::jit::Module module_ = BrightnessModule();
  const std::shared_ptr<const Dataset> dataset_ = UniformImages(kPixels, kLabels);
  std::atomic<bool> cancel_{false};
};

TEST_F(EvaluationTest, CountsAreThoseCountedByHand) {
  ASSERT_OK_AND_ASSIGN(const EvaluationMetrics metrics,
                       EvaluateModel(module_, SmallCard(), *dataset_, nullptr, cancel_));
  EXPECT_EQ(metrics.sample_count, 5);
  EXPECT_EQ(metrics.correct_count, 3);  // images 0, 2 and 4
  EXPECT_DOUBLE_EQ(metrics.accuracy(), 0.6);
  EXPECT_EQ(metrics.agreement_count, -1);
  // -log softmax of the label: ln(1 + exp(other - own)).
  const auto loss = [](double difference) { return std::log1p(std::exp(difference)); };
  const double sum = loss(0 - 1) + loss(1 - 1) + loss(1 - 2) + loss(3 - 1) + loss(1 - 4);
  EXPECT_NEAR(metrics.cross_entropy, sum / 5, 1e-6);
}

TEST_F(EvaluationTest, AgreementIsWithTheTeachersChoice) {
  // This teacher always says light: it agrees on images 2, 3 and 4. It is asked shard by shard.
  std::vector<std::pair<int64_t, int64_t>> asked;
  const TeacherLogits teacher = [&](int64_t shard, int64_t count, std::vector<float>* rows) {
    asked.emplace_back(shard, count);
    rows->clear();
    for (int64_t i = 0; i < count; ++i) rows->insert(rows->end(), {-1, 1});
    return absl::OkStatus();
  };
  ASSERT_OK_AND_ASSIGN(const EvaluationMetrics metrics,
                       EvaluateModel(module_, SmallCard(), *dataset_, teacher, cancel_));
  EXPECT_EQ(metrics.agreement_count, 3);
  EXPECT_EQ(asked, (std::vector<std::pair<int64_t, int64_t>>{{0, 2}, {1, 2}, {2, 1}}));
}

TEST_F(EvaluationTest, ATeacherErrorEndsIt) {
  const TeacherLogits teacher = [](int64_t, int64_t, std::vector<float>*) {
    return absl::UnavailableError("gone");
  };
  EXPECT_THAT(EvaluateModel(module_, SmallCard(), *dataset_, teacher, cancel_),
              StatusIs(absl::StatusCode::kUnavailable, "gone"));
}

TEST_F(EvaluationTest, CancelEndsIt) {
  cancel_.store(true);
  EXPECT_THAT(EvaluateModel(module_, SmallCard(), *dataset_, nullptr, cancel_),
              StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(EvaluationTest, RunsInEvalMode) {
  torch::jit::Module noisy = ModuleOf(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    light = torch.mean(torch.flatten(x, 1), [1]) * 4\n"
      "    dark = torch.dropout(torch.ones_like(light), 0.9, self.training)\n"
      "    return torch.stack([dark, light], 1)\n");
  noisy.train();
  ASSERT_OK_AND_ASSIGN(const EvaluationMetrics metrics,
                       EvaluateModel(noisy, SmallCard(), *dataset_, nullptr, cancel_));
  EXPECT_EQ(metrics.correct_count, 3);
  EXPECT_FALSE(noisy.is_training());
}

TEST_F(EvaluationTest, DataThatDoNotFitTheCardAreRefused) {
  ModelCard card = SmallCard();
  card.samples = SampleSpec::Pictures({1, 8, 8}, 255);
  EXPECT_THAT(EvaluateModel(module_, card, *dataset_, nullptr, cancel_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("1 x 8 x 8"), HasSubstr("1 x 2 x 2"))));
  card = SmallCard();
  card.class_names = {"a", "b", "c"};
  EXPECT_THAT(EvaluateModel(module_, card, *dataset_, nullptr, cancel_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("3 classes"), HasSubstr("has 2"))));
}

TEST_F(EvaluationTest, AModelThatThrowsIsAStatus) {
  torch::jit::Module broken =
      ModuleOf("def forward(self, x: Tensor) -> Tensor:\n    return torch.mm(x, x)\n");
  EXPECT_THAT(EvaluateModel(broken, SmallCard(), *dataset_, nullptr, cancel_),
              StatusIs(absl::StatusCode::kInternal));
}

TEST(ForwardLogits, NormalisesPixelsByTheCard) {
  torch::jit::Module module = BrightnessModule();
  ModelCard card = SmallCard();
  card.mean = {0.5F};
  card.deviation = {0.25F};
  // (1 - 0.5) / 0.25 = 2, times 4.
  const at::Tensor logits = ForwardLogits(module, card, torch::ones({1, 1, 2, 2}));
  EXPECT_EQ(logits[0][1].item<float>(), 8);
}

TEST(ForwardLogits, AProbabilityOfZeroStaysFinite) {
  torch::jit::Module module = ModuleOf(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    one = torch.ones_like(torch.flatten(x, 1)[:, 0])\n"
      "    return torch.stack([one, one * 0], 1)\n");
  ModelCard card = SmallCard();
  card.outputs_probabilities = true;
  const at::Tensor logits = ForwardLogits(module, card, torch::ones({1, 1, 2, 2}));
  EXPECT_EQ(logits[0][0].item<float>(), 0);               // ln 1
  EXPECT_NEAR(logits[0][1].item<float>(), -69.08, 0.01);  // ln 1e-30
}

}  // namespace
}  // namespace distillery

// Models of LibTorch that take other samples than pictures and answer for each position.
#include "tests/teacher_service/teachers/device_teacher.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

// tokens int64 [4] below 9 and scale float32 [] -> classes [4] of three.
class TorchSamples : public ::testing::Test {
 protected:
  void SetUp() override {
    card_.samples.inputs = {{"tokens", ElementType::kInt64, {4}, 0, 9},
                            {"scale", ElementType::kFloat32, {}, 0, 0}};
    card_.samples.answer.positions = {4};
    card_.mean = {1};
    card_.deviation = {2};
    card_.class_names = {"a", "b", "c"};
    options_.name = "tagger";
    options_.model_path = folder_.File("tagger.pt");
  }
  absl::StatusOr<std::unique_ptr<Teacher>> Load(const std::string& result) {
    torch::jit::Module module("Tagger");
    module.define("def forward(self, tokens: Tensor, scale: Tensor) -> Tensor:\n    return " +
                  result + "\n");
    EXPECT_THAT(SaveModel(options_.model_path, module, card_), IsOk());
    return LoadTorchTeacher(options_);
  }
  static constexpr char kTags[] =
      "tokens.unsqueeze(2) * torch.arange(1, 4, device=tokens.device) * scale.view(-1, 1, 1)";

  const TemporaryFolder folder_;
  FakeDeviceRuntime runtime_{/*devices=*/2};
  ModelCard card_;
  TorchTeacherOptions options_;
};

TEST_F(TorchSamples, EachInputGoesInWithItsTypeAndItsOwnMeanAndDeviation) {
  const std::vector<int64_t> tokens = {0, 1, 2, 3, 8, 7, 6, 5};
  const std::vector<float> scales = {2, 5};  // normalised 0.5 and 2
  for (const char* const device : {"cpu", "cuda:1"}) {
    options_.device = device;
    options_.devices = &runtime_;
    ASSERT_OK_AND_ASSIGN(const auto teacher, Load(kTags));
    EXPECT_FALSE(teacher->takes_bytes());
    std::vector<float> logits(2 * 4 * 3);
    const InputColumns columns(std::vector<const void*>{tokens.data(), scales.data()});
    ASSERT_THAT(teacher->ComputeLogits(columns, 2, logits.data()), IsOk());
    for (size_t i = 0; i < logits.size(); ++i) {
      const float scale = i < 12 ? 0.5F : 2;
      EXPECT_EQ(logits[i],
                static_cast<float>(tokens[i / 3] * static_cast<int64_t>(i % 3 + 1)) * scale)
          << device << " " << i;
    }
  }
}

TEST_F(TorchSamples, ClassesMustComeLast) {
  EXPECT_THAT(
      Load(std::string("(") + kTags + ").movedim(2, 1)").status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("has the shape [4, 3, 4], the card's class_names and positions make "
                         "it [4, 4, 3]: put the classes last")));
}

TEST_F(TorchSamples, AForwardTakesTheInputsOfItsCard) {
  card_.samples.inputs.pop_back();
  card_.mean.clear();
  card_.deviation.clear();
  EXPECT_THAT(Load(kTags).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("takes 2 inputs, not one")));
}

TEST_F(TorchSamples, LabelsThatAreProbabilitiesBecomeLogits) {
  card_.samples.answer.kind = AnswerKind::kMultilabel;
  card_.outputs_probabilities = true;
  ASSERT_OK_AND_ASSIGN(const auto teacher, Load(std::string("torch.sigmoid(") + kTags + ")"));
  const std::vector<int64_t> tokens = {0, 1, 2, 3};
  const float scale = 2;
  std::vector<float> logits(4 * 3);
  ASSERT_THAT(teacher->ComputeLogits(InputColumns(std::vector<const void*>{tokens.data(), &scale}),
                                     1, logits.data()),
              IsOk());
  EXPECT_NEAR(logits[2 * 3 + 1], 2, 1e-5);  // 2 * 2 * 0.5
}

}  // namespace
}  // namespace distillery

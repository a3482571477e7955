// EvaluateModel against the same figures made in Python.
#include "common/nn/evaluation.h"

#include "tests/common/nn/small_model.h"
#include "tests/golden/golden_file.h"

namespace distillery {
namespace {

// Each sample's pixels are its logits, at an eighth of their scale.
std::shared_ptr<const Dataset> ImagesOf(const nlohmann::json& golden) {
  auto samples = std::make_shared<StoredSamples>();
  samples->name = "golden";
  samples->spec = SampleSpec::Pictures({1, 3, 4}, 255);
  for (int i = 0; i < 12; ++i) samples->class_names.push_back(std::to_string(i));
  samples->labels = LabelList(golden.at("labels").get<std::vector<int32_t>>());
  for (const nlohmann::json& row : golden.at("pixels")) {
    const auto pixels = row.get<std::vector<uint8_t>>();
    samples->records.insert(samples->records.end(), pixels.begin(), pixels.end());
    samples->test.push_back(static_cast<int64_t>(samples->test.size()));
  }
  return *Dataset::Create(samples, {"golden", "test", 32});
}

TEST(GoldenEvaluation, EqualsPython) {
  const nlohmann::json golden = ReadGolden("evaluation.json");
  const auto dataset = ImagesOf(golden);
  torch::jit::Module module =
      ModuleOf("def forward(self, x: Tensor) -> Tensor:\n    return torch.flatten(x, 1) * 8\n");
  ModelCard card;
  card.samples = SampleSpec::Pictures(dataset->shape(), 255);
  card.mean = {0};
  card.deviation = {1};
  card.class_names = dataset->class_names();
  const TeacherLogits teacher = [&](int64_t shard, int64_t count, std::vector<float>* rows) {
    rows->clear();
    const int64_t first = dataset->Shard(shard)->first;
    for (int64_t row = first; row < first + count; ++row) {
      const auto index = static_cast<size_t>(dataset->StoredIndex(row));
      const auto logits = golden.at("teacher_logits")[index].get<std::vector<float>>();
      rows->insert(rows->end(), logits.begin(), logits.end());
    }
    return absl::OkStatus();
  };
  const std::atomic<bool> cancel{false};
  ASSERT_OK_AND_ASSIGN(const EvaluationMetrics metrics,
                       EvaluateModel(module, card, *dataset, teacher, cancel));
  EXPECT_EQ(metrics.sample_count, 90);
  for (const auto& [name, count] :
       {std::pair<const char*, int64_t>{"correct_count", metrics.correct_count},
        {"top5_count", metrics.top5_count},
        {"agreement_count", metrics.agreement_count}}) {
    EXPECT_EQ(count, golden.at(name).get<int64_t>()) << name;
  }
  EXPECT_NEAR(metrics.cross_entropy, golden.at("cross_entropy").get<double>(), 1e-5);
  EXPECT_NEAR(metrics.teacher_kl, golden.at("teacher_kl").get<double>(), 1e-5);
  EXPECT_NEAR(metrics.calibration_error(), golden.at("calibration_error").get<double>(), 1e-6);
  EXPECT_EQ(metrics.confusion_matrix, golden.at("confusion_matrix").get<std::vector<int64_t>>());
  const auto bins = golden.at("calibration_counts").get<std::vector<int64_t>>();
  ASSERT_EQ(metrics.calibration_bins.size(), bins.size());
  for (size_t i = 0; i < bins.size(); ++i) {
    EXPECT_EQ(metrics.calibration_bins[i].sample_count, bins[i]) << i;
  }
  // Rows of the confusion matrix are classes.
  for (size_t label = 0; label < 12; ++label) {
    int64_t samples = 0;
    for (size_t choice = 0; choice < 12; ++choice) {
      samples += metrics.confusion_matrix[label * 12 + choice];
    }
    EXPECT_EQ(metrics.samples_per_class[label], samples);
    EXPECT_EQ(metrics.correct_per_class[label], metrics.confusion_matrix[label * 13]);
  }
}

}  // namespace
}  // namespace distillery

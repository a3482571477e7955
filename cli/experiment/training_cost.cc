#include "cli/experiment/training_cost.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "cli/runs/local_run.h"
#include "common/base/status_macros.h"
#include "common/model/architecture_plan.h"
#include "common/model/layer_tensors.h"

namespace distillery {

TrainingCost::TrainingCost(const ExperimentRecipe& recipe)
    : shape_(recipe.shape), class_count_(recipe.class_count()), train_size_(recipe.train_size) {}

absl::StatusOr<TrainingCost> TrainingCost::Measure(const ExperimentRecipe& recipe,
                                                   const std::string& data_dir,
                                                   const std::string& device,
                                                   const std::string& folder) {
  constexpr int64_t kSteps = 300;
  constexpr int64_t kNarrow = 16;
  TrainingCost cost(recipe);
  const std::array<int64_t, 2> widths = {recipe.width, kNarrow};
  std::array<double, 2> seconds{};
  std::array<double, 2> parameters{};
  for (size_t i = 0; i < widths.size(); ++i) {
    LocalRun run;
    run.spec = recipe.student;
    run.spec.name = absl::StrCat("probe-", widths[i]);
    run.spec.student.architecture = recipe.Architecture(widths[i]);
    run.spec.loss.alpha = 0;
    run.spec.training.rounds = 1;
    run.spec.training.local_epochs = 0;
    run.spec.training.local_steps = kSteps;
    run.folder = folder;
    run.data_dir = data_dir;
    run.device = device;
    run.resume_hint = "the same command begins again";
    DISTILLERY_ASSIGN_OR_RETURN(const v1::GetRunResponse ended, DoLocalRun(run));
    const v1::TrainMetrics& train = ended.run().latest_round().train();
    seconds[i] = train.seconds() / static_cast<double>(std::max<int64_t>(1, train.sample_count()));
    parameters[i] = static_cast<double>(cost.ParameterCount(run.spec));
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  // Never below what a clock's jitter could make of it.
  constexpr double kLeast = 1e-12;
  cost.per_parameter_ =
      std::max(kLeast, (seconds[0] - seconds[1]) / (parameters[0] - parameters[1]));
  cost.per_sample_ = std::max(kLeast, seconds[1] - cost.per_parameter_ * parameters[1]);
  return cost;
}

double TrainingCost::Seconds(const RunSpec& spec) const {
  constexpr double kFitShare = 0.8;
  const auto& dataset = spec.dataset;
  double samples = static_cast<double>(train_size_) * dataset.sample_fraction;
  if (dataset.train_split == "fit") samples *= kFitShare;
  samples *=
      static_cast<double>(class_count_ - static_cast<int64_t>(dataset.exclude_classes.size())) /
      static_cast<double>(class_count_);
  return samples * static_cast<double>(Epochs(spec)) * SampleSeconds(spec);
}

double TrainingCost::Seconds(const std::vector<RunSpec>& specs) const {
  double sum = 0;
  for (const RunSpec& spec : specs) sum += Seconds(spec);
  return sum;
}

double TrainingCost::SampleSeconds(const RunSpec& spec) const {
  return per_sample_ + per_parameter_ * static_cast<double>(ParameterCount(spec));
}

int64_t TrainingCost::ParameterCount(const RunSpec& spec) const {
  const auto layers = PlanArchitecture(spec.student.architecture, shape_, class_count_);
  int64_t count = 0;
  if (!layers.ok()) return count;
  for (const Layer& layer : *layers) count += WeightCount(layer);
  return count;
}

}  // namespace distillery

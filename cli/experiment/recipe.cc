#include "cli/experiment/recipe.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/runs/known_settings.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/data/catalog.h"

namespace distillery {
namespace {

// A teacher that costs about as much as a few students.
RunSpec QuickTeacher(const ExperimentRecipe& recipe) {
  if (const auto known = KnownSettingsFor(recipe.dataset); known.ok()) return known->teacher;
  RunSpec teacher = KnownSettingsFor("digits")->teacher;
  teacher.dataset = recipe.student.dataset;
  // As there: the students' rates are chosen on images that the teacher never saw.
  teacher.dataset.train_split = "fit";
  teacher.student.architecture =
      absl::StrCat(recipe.Architecture(512), ",dropout=0.5,input_dropout=0.1");
  SetEpochs(std::min<int64_t>(48, Epochs(recipe.student)), &teacher);
  return teacher;
}

void SetQuick(ExperimentRecipe* recipe) {
  // So many training samples take about a second.
  constexpr double kSamples = 86'000;
  constexpr int64_t kFewestEpochs = 2;
  recipe->width = 32;
  recipe->hidden_layers = 1;
  recipe->rates = {0.01, 0.03, 0.1};
  recipe->study_widths = {32, 8, 4};
  recipe->study_temperatures = {1, 2, 4, 8, 20};
  recipe->sweep_temperatures = {1, 2, 4, 8, 20, 50, 100};
  recipe->sweep_alphas = {0.3, 0.6, 0.9, 1};
  recipe->compression_widths = {4, 8, 16, 32, 64};
  recipe->zero_shot_temperature = 8;
  RunSpec& student = recipe->student;
  student.dataset.shard_size = recipe->train_size < 5000 ? 256 : 2000;
  student.student.architecture = recipe->Architecture(recipe->width);
  student.loss.alpha = 0.9;
  student.loss.temperature = 4;
  student.training.rounds = 3;
  student.training.batch_size = 32;
  student.training.schedule = "cosine";
  const auto size = static_cast<double>(recipe->train_size);
  SetEpochs(std::max<int64_t>(kFewestEpochs, std::llround(kSamples / size)), &student);
  recipe->study_epochs = Epochs(student);
  recipe->teacher = QuickTeacher(*recipe);
}

// Hinton, Vinyals and Dean 2015, section 3, trained for long enough to reach its numbers.
void SetPaper(ExperimentRecipe* recipe) {
  const KnownSettings mnist = *KnownSettingsFor("mnist");
  recipe->width = 800;
  recipe->hidden_layers = 2;
  recipe->rates = {0.01, 0.03, 0.1};
  recipe->study_widths = {800, 300, 30};
  recipe->study_temperatures = {1, 2, 2.5, 4, 8, 14, 20};
  recipe->sweep_temperatures = {1, 2, 4, 8, 20, 50, 100};
  recipe->sweep_alphas = {0.3, 0.6, 0.9, 1};
  recipe->compression_widths = {16, 32, 64, 128, 256, 800};
  recipe->zero_shot_temperature = 20;
  recipe->augmentation = "jitter:2";
  recipe->views = 20;

  RunSpec& teacher = recipe->teacher;
  teacher = mnist.teacher;
  teacher.training.rounds = 20;
  teacher.training.local_epochs = 15;
  // A new picture in each epoch.
  teacher.dataset.views = 300;
  teacher.training.batch_size = 128;
  teacher.training.learning_rate = 0.1;
  teacher.training.schedule = "one_cycle";
  // The paper's "weight-constraints" (Hinton et al. 2012), on the weights into one unit. Inputs
  // here have deviation 1, not pixels' 0.3, so it is below the usual 3 to 4.
  teacher.training.max_weight_norm = 2;
  teacher.training.optimizer_state = "average";
  // It trains alone, while all cores are free.
  teacher.compute_threads = 2;

  RunSpec& student = recipe->student;
  student.dataset = mnist.student.dataset;
  student.student.architecture = recipe->Architecture(recipe->width);
  student.loss.alpha = 0.95;
  student.loss.temperature = 20;
  student.training.rounds = 10;
  student.training.batch_size = 128;
  student.training.schedule = "cosine";
  student.training.optimizer_state = "average";
  SetEpochs(100, &student);
  recipe->study_epochs = 40;
}

}  // namespace

std::string ExperimentRecipe::Architecture(int64_t hidden_units) const {
  std::string text = absl::StrCat("mlp:", shape.size());
  for (int64_t layer = 0; layer < hidden_layers; ++layer) absl::StrAppend(&text, "-", hidden_units);
  return absl::StrCat(text, "-", class_count());
}

absl::StatusOr<ExperimentRecipe> ExperimentRecipeFor(const std::string& dataset,
                                                     const std::string& scale,
                                                     const std::string& data_dir) {
  if (scale != "quick" && scale != "paper") {
    return absl::InvalidArgumentError(UnknownName("--scale", scale, {"quick", "paper"}));
  }
  if (scale == "paper" && dataset != "mnist") {
    return absl::InvalidArgumentError(
        absl::StrCat("--scale paper is for --dataset mnist, the paper's data, not for ", dataset,
                     "; --scale quick takes any data set"));
  }
  DatasetCatalog catalog(data_dir);
  DISTILLERY_ASSIGN_OR_RETURN(const auto data, catalog.Open({dataset, "train", 1000}));
  if (!data->spec().is_picture_by_class()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the experiments are for pictures with one class each; data set ", dataset,
                     " is ", data->spec().ToString(), ": distillery run does runs on any data"));
  }
  ExperimentRecipe recipe;
  recipe.dataset = dataset;
  recipe.scale = scale;
  recipe.shape = data->shape();
  recipe.class_names = data->class_names();
  recipe.train_size = data->size();
  recipe.student.name = "soft";
  recipe.student.dataset.name = dataset;
  if (scale == "paper") {
    SetPaper(&recipe);
  } else {
    SetQuick(&recipe);
  }
  recipe.student.training.learning_rate = recipe.rates.front();
  // The same for all students: at high temperatures the first steps at the highest rate would
  // diverge without.
  recipe.student.training.max_gradient_norm = 5;
  return recipe;
}

void SetEpochs(int64_t epochs, RunSpec* spec) {
  const int64_t rounds = std::clamp<int64_t>(spec->training.rounds, 1, epochs);
  spec->training.rounds = rounds;
  spec->training.local_epochs = std::max<int64_t>(1, (epochs + rounds / 2) / rounds);
}

int64_t Epochs(const RunSpec& spec) { return spec.training.rounds * spec.training.local_epochs; }

void UseFraction(double fraction, RunSpec* spec) {
  constexpr double kPower = -0.35;
  spec->dataset.sample_fraction = fraction;
  SetEpochs(std::llround(static_cast<double>(Epochs(*spec)) * std::pow(fraction, kPower)), spec);
}

}  // namespace distillery

// Students of a small part of the data: on hard labels they learn it by heart, on soft targets they
// do not.
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/experiment/experiment.h"
#include "cli/experiment/mean.h"
#include "common/base/status_macros.h"
#include "common/run/sample_selection.h"

namespace distillery {
namespace {

constexpr std::array<int64_t, 5> kDataPercents = {1, 3, 10, 30, 100};
// What the paper shows.
constexpr int64_t kHeadline = 3;

class SmallDataExperiment : public Experiment {
 public:
  using Experiment::Experiment;

  std::vector<RunSpec> Plan() const override {
    std::vector<RunSpec> plan;
    for (const int64_t percent : kDataPercents) {
      const std::vector<RunSpec> one = PlanPair(SmallPair(percent));
      plan.insert(plan.end(), one.begin(), one.end());
    }
    if (recipe_.augmentation.empty()) return plan;
    const std::vector<RunSpec> views = PlanPair(ViewPair());
    plan.insert(plan.end(), views.begin(), views.end());
    return plan;
  }

  absl::Status Run(Laboratory* lab, Results* results) override {
    results->title = "Little data on " + recipe_.dataset;
    results->summary =
        "Both students see the same small part of the training images. Hard labels are learnt by "
        "heart and do not carry over to the test images; soft targets carry more in each image.";
    std::vector<RunSpec> specs;
    for (const int64_t percent : kDataPercents) {
      StudentPair pair = SmallPair(percent);
      DISTILLERY_RETURN_IF_ERROR(lab->ChooseRates(&pair));
      specs.insert(specs.end(), {pair.hard, pair.distilled});
    }
    if (!recipe_.augmentation.empty()) {
      StudentPair pair = ViewPair();
      DISTILLERY_RETURN_IF_ERROR(lab->ChooseRates(&pair));
      specs.insert(specs.end(), {pair.hard, pair.distilled});
    }
    DISTILLERY_ASSIGN_OR_RETURN(const auto groups, lab->DoOverSeeds("students", specs));
    std::vector<std::vector<double>> train;
    for (const auto& group : groups) {
      DISTILLERY_ASSIGN_OR_RETURN(train.emplace_back(), TrainingAccuracies(lab, group));
    }
    results->tables = {Table(groups, train), lab->grid_table()};
    results->figures = {Figure(groups, train)};
    for (const auto& group : groups) {
      const RunSpec& spec = group.front().spec;
      const bool main =
          spec.dataset.augmentation == "none" && spec.dataset.sample_fraction == Part(kHeadline);
      DISTILLERY_RETURN_IF_ERROR(lab->Keep(group.front(), main, results));
    }
    return absl::OkStatus();
  }

 private:
  static double Part(int64_t percent) { return static_cast<double>(percent) / 100; }

  StudentPair SmallPair(int64_t percent) const {
    StudentPair pair = MakePair(absl::StrCat("-data-", percent));
    for (RunSpec* const spec : {&pair.hard, &pair.distilled}) UseFraction(Part(percent), spec);
    return pair;
  }

  StudentPair ViewPair() const {
    StudentPair pair = SmallPair(kHeadline);
    for (RunSpec* const spec : {&pair.hard, &pair.distilled}) {
      absl::StrAppend(&spec->name, "-views");
      spec->dataset.augmentation = recipe_.augmentation;
      spec->dataset.views = recipe_.views;
    }
    return pair;
  }

  // Per cent of the samples that each run trained on, by the labels that it was taught.
  static absl::StatusOr<std::vector<double>> TrainingAccuracies(
      Laboratory* lab, const std::vector<FinishedRun>& runs) {
    std::vector<double> accuracies;
    for (const FinishedRun& run : runs) {
      DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, lab->Split(run.spec.dataset.train_split));
      DISTILLERY_ASSIGN_OR_RETURN(const SampleSelection selection,
                                  SampleSelection::Create(run.spec, *dataset));
      std::vector<int64_t> rows;
      std::vector<int32_t> labels;
      for (int64_t row = 0; row < dataset->size(); ++row) {
        if (!selection.Selected(row)) continue;
        rows.push_back(row);
        labels.push_back(selection.Label(row));
      }
      DISTILLERY_ASSIGN_OR_RETURN(const SplitLogits logits,
                                  lab->StudentLogits(run, run.spec.dataset.train_split, rows));
      const auto count = static_cast<double>(rows.size());
      accuracies.push_back(100 *
                           (1 - static_cast<double>(CountErrors(Choices(logits), labels)) / count));
    }
    return accuracies;
  }

  ResultTable Table(const std::vector<std::vector<FinishedRun>>& groups,
                    const std::vector<std::vector<double>>& train) const {
    ResultTable table;
    table.title = "Accuracy by the part of the data";
    table.columns = {{"training images", "", 0}, {"student", "", 0},
                     {"epochs", "", 0},          {"training accuracy", "%", 2},
                     {"test accuracy", "%", 2},  {"test errors", "", 1}};
    for (size_t i = 0; i < groups.size(); ++i) {
      const RunSpec& spec = groups[i].front().spec;
      const bool views = spec.dataset.augmentation != "none";
      const std::string images =
          absl::StrCat(std::llround(100 * spec.dataset.sample_fraction), " %",
                       views ? absl::StrCat(", ", spec.dataset.augmentation) : "");
      table.rows.push_back({images, spec.loss.alpha > 0 ? "soft targets" : "hard labels",
                            absl::StrCat(Epochs(spec)), MeanCell(train[i]),
                            MeanCell(Accuracies(groups[i])), MeanCell(ErrorCounts(groups[i]))});
    }
    table.note = absl::StrCat(
        MeansOf(settings_.seeds), ", which also draw the images, of ", recipe_.train_size, "; ",
        groups[0][0].sample_count(), " test images. Soft: alpha ", recipe_.student.loss.alpha,
        ", T = ", recipe_.student.loss.temperature,
        ". The teacher was trained on more: what it knows is what soft targets carry.");
    if (recipe_.paper()) {
      absl::StrAppend(
          &table.note,
          " Hinton et al. 2015, on speech: test accuracy with 3 % of the data 44.5 % on "
          "hard labels, 57.0 % on soft targets, 58.9 % with all data.");
    }
    return table;
  }

  static ResultFigure Figure(const std::vector<std::vector<FinishedRun>>& groups,
                             const std::vector<std::vector<double>>& train) {
    ResultFigure figure;
    figure.title = "Training and test accuracy by the part of the data";
    figure.x = {"training images used", "%", true};
    figure.y = {"accuracy", "%", false};
    figure.series.resize(4);
    const std::array<const char*, 4> names = {"hard labels, training", "hard labels, test",
                                              "soft targets, training", "soft targets, test"};
    for (size_t i = 0; i < names.size(); ++i) figure.series[i].name = names[i];
    for (size_t i = 0; i < kDataPercents.size(); ++i) {
      for (const size_t student : {0, 1}) {
        const size_t group = 2 * i + student;
        ResultSeries& training = figure.series[2 * student];
        ResultSeries& test = figure.series[2 * student + 1];
        training.x.push_back(static_cast<double>(kDataPercents[i]));
        test.x.push_back(static_cast<double>(kDataPercents[i]));
        AppendMean(train[group], &training);
        AppendMean(Accuracies(groups[group]), &test);
      }
    }
    figure.note = "The gap between training and test accuracy is what was learnt by heart.";
    return figure;
  }
};

}  // namespace

std::unique_ptr<Experiment> MakeSmallDataExperiment(ExperimentRecipe recipe,
                                                    ExperimentSettings settings) {
  return std::make_unique<SmallDataExperiment>(std::move(recipe), settings);
}

}  // namespace distillery

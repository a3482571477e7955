// Students under noise, shift and blur.
#include "absl/strings/str_cat.h"
#include "cli/experiment/experiment.h"
#include "cli/experiment/mean.h"
#include "cli/models/corruption.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Draws noise and directions; the same for all models.
constexpr int64_t kCorruptionSeed = 1;

double Accuracy(const SplitLogits& logits) {
  const auto errors = static_cast<double>(CountErrors(Choices(logits), logits.labels));
  return 100 * (1 - errors / static_cast<double>(logits.size()));
}

class RobustnessExperiment : public Experiment {
 public:
  using Experiment::Experiment;

  std::vector<RunSpec> Plan() const override { return PlanPair(MakePair()); }

  absl::Status Run(Laboratory* lab, Results* results) override {
    results->title = "Spoilt images on " + recipe_.dataset;
    results->summary =
        "Students that were trained on clean images, asked about test images under noise, shift "
        "and "
        "blur.";
    StudentPair pair = MakePair();
    DISTILLERY_RETURN_IF_ERROR(lab->ChooseRates(&pair));
    DISTILLERY_ASSIGN_OR_RETURN(const auto groups,
                                lab->DoOverSeeds("students", {pair.hard, pair.distilled}));
    ResultTable table;
    table.title = "Accuracy on spoilt test images";
    table.columns = {{"spoilt by", "", 0},     {"strength", "", 2},         {"hard labels", "%", 2},
                     {"soft targets", "%", 2}, {"soft minus hard", "%", 2}, {"teacher", "%", 2}};
    table.rows.push_back({"nothing", 0.0, MeanCell(Accuracies(groups[0])),
                          MeanCell(Accuracies(groups[1])),
                          MeanCell(Differences(Accuracies(groups[1]), Accuracies(groups[0]))),
                          100 * lab->teacher().metrics.accuracy()});
    table.note = absl::StrCat(
        MeansOf(settings_.seeds), " on ", groups[0][0].sample_count(),
        " test images. Strengths: deviation of the Gaussian noise in a pixel's range of 0 to 1; "
        "length of the shift, in a direction drawn for each image, in widths of the image; "
        "deviation "
        "of the blur's Gaussian in widths. All models see the same spoilt images.");
    for (const Corruption& corruption : KnownCorruptions()) {
      DISTILLERY_RETURN_IF_ERROR(Spoil(lab, corruption, groups, &table, results));
    }
    results->tables = {std::move(table), lab->grid_table()};
    for (const auto& group : groups) {
      DISTILLERY_RETURN_IF_ERROR(lab->Keep(group.front(), /*main=*/true, results));
    }
    return absl::OkStatus();
  }

 private:
  // A row for each strength and a figure.
  static absl::Status Spoil(Laboratory* lab, const Corruption& corruption,
                            const std::vector<std::vector<FinishedRun>>& groups, ResultTable* table,
                            Results* results) {
    ResultFigure figure;
    figure.title = absl::StrCat("Accuracy under ", corruption.name);
    figure.x = {absl::StrCat(corruption.name, ", ", corruption.unit), "", false};
    figure.y = {"accuracy on the test split", "%", false};
    figure.note = table->note;
    figure.series.resize(3);
    figure.series[0].name = "hard labels";
    figure.series[1].name = "soft targets";
    figure.series[2].name = "teacher";
    for (ResultSeries& series : figure.series) series.x.push_back(0);
    AppendMean(Accuracies(groups[0]), &figure.series[0]);
    AppendMean(Accuracies(groups[1]), &figure.series[1]);
    figure.series[2].y.push_back(100 * lab->teacher().metrics.accuracy());
    for (const double strength : corruption.strengths) {
      const PixelChange change = MakePixelChange(corruption.kind, strength, kCorruptionSeed);
      std::vector<std::vector<double>> accuracies(groups.size());
      for (size_t i = 0; i < groups.size(); ++i) {
        for (const FinishedRun& run : groups[i]) {
          DISTILLERY_ASSIGN_OR_RETURN(const SplitLogits logits,
                                      lab->StudentLogits(run, "test", {}, change));
          accuracies[i].push_back(Accuracy(logits));
        }
      }
      DISTILLERY_ASSIGN_OR_RETURN(const SplitLogits logits, lab->TeacherLogits("test", {}, change));
      const double teacher = Accuracy(logits);
      table->rows.push_back({corruption.name, strength, MeanCell(accuracies[0]),
                             MeanCell(accuracies[1]),
                             MeanCell(Differences(accuracies[1], accuracies[0])), teacher});
      for (ResultSeries& series : figure.series) series.x.push_back(strength);
      AppendMean(accuracies[0], &figure.series[0]);
      AppendMean(accuracies[1], &figure.series[1]);
      figure.series[2].y.push_back(teacher);
    }
    results->figures.push_back(std::move(figure));
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Experiment> MakeRobustnessExperiment(ExperimentRecipe recipe,
                                                     ExperimentSettings settings) {
  return std::make_unique<RobustnessExperiment>(std::move(recipe), settings);
}

}  // namespace distillery

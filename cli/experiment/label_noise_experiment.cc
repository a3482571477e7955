// Students whose labels are partly wrong: what the teacher says outweighs them.
#include <array>

#include "absl/strings/str_cat.h"
#include "cli/experiment/experiment.h"
#include "cli/experiment/mean.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr std::array<int64_t, 3> kPercents = {0, 20, 40};

class LabelNoiseExperiment : public Experiment {
 public:
  using Experiment::Experiment;

  std::vector<RunSpec> Plan() const override {
    std::vector<RunSpec> plan;
    for (const int64_t percent : kPercents) {
      const std::vector<RunSpec> one = PlanPair(NoisyPair(percent));
      plan.insert(plan.end(), one.begin(), one.end());
    }
    return plan;
  }

  absl::Status Run(Laboratory* lab, Results* results) override {
    results->title = "Wrong labels on " + recipe_.dataset;
    results->summary =
        "Part of the student's labels is replaced by another class. The teacher was trained on the "
        "right ones: what is shown is how far its soft targets make up for wrong labels.";
    std::vector<RunSpec> specs;
    for (const int64_t percent : kPercents) {
      StudentPair pair = NoisyPair(percent);
      DISTILLERY_RETURN_IF_ERROR(lab->ChooseRates(&pair));
      specs.insert(specs.end(), {pair.hard, pair.distilled});
    }
    DISTILLERY_ASSIGN_OR_RETURN(const auto groups, lab->DoOverSeeds("students", specs));
    ResultTable table;
    table.title = "Wrong labels";
    table.columns = {{"wrong labels", "%", 0},   {"hard, errors", "", 1},
                     {"soft, errors", "", 1},    {"hard, accuracy", "%", 2},
                     {"soft, accuracy", "%", 2}, {"hard minus soft, errors", "", 1}};
    ResultFigure figure;
    figure.title = "Accuracy by wrong labels";
    figure.x = {"wrong labels", "%", false};
    figure.y = {"accuracy on the test split", "%", false};
    figure.series.resize(2);
    figure.series[0].name = "hard labels";
    figure.series[1].name = "soft targets";
    for (size_t i = 0; i < kPercents.size(); ++i) {
      const auto& hard = groups[2 * i];
      const auto& soft = groups[2 * i + 1];
      table.rows.push_back({static_cast<double>(kPercents[i]), MeanCell(ErrorCounts(hard)),
                            MeanCell(ErrorCounts(soft)), MeanCell(Accuracies(hard)),
                            MeanCell(Accuracies(soft)),
                            MeanCell(Differences(ErrorCounts(hard), ErrorCounts(soft)))});
      for (const size_t student : {0, 1}) {
        figure.series[student].x.push_back(static_cast<double>(kPercents[i]));
        AppendMean(Accuracies(groups[2 * i + student]), &figure.series[student]);
      }
    }
    table.note = figure.note =
        absl::StrCat(MeansOf(settings_.seeds), " on ", groups[0][0].sample_count(),
                     " test images; seeds also draw which labels are wrong. Soft: alpha ",
                     recipe_.student.loss.alpha, ", T = ", recipe_.student.loss.temperature, ".");
    results->tables = {std::move(table), lab->grid_table()};
    results->figures = {std::move(figure)};
    for (const auto& group : groups) {
      const bool main = &group == &groups[groups.size() - 2] || &group == &groups.back();
      DISTILLERY_RETURN_IF_ERROR(lab->Keep(group.front(), main, results));
    }
    return absl::OkStatus();
  }

 private:
  StudentPair NoisyPair(int64_t percent) const {
    StudentPair pair = MakePair(absl::StrCat("-noise-", percent));
    for (RunSpec* const spec : {&pair.hard, &pair.distilled}) {
      spec->dataset.label_noise = static_cast<double>(percent) / 100;
    }
    return pair;
  }
};

}  // namespace

std::unique_ptr<Experiment> MakeLabelNoiseExperiment(ExperimentRecipe recipe,
                                                     ExperimentSettings settings) {
  return std::make_unique<LabelNoiseExperiment>(std::move(recipe), settings);
}

}  // namespace distillery

// Temperature by alpha: which pair to take, chosen on images that are not the test images.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/experiment/experiment.h"
#include "cli/experiment/halving.h"
#include "cli/experiment/mean.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// A pair of temperature and alpha with what is known of it.
struct Cell {
  size_t temperature = 0;
  size_t alpha = 0;
  // Mean over seeds on the validation part, after `rounds`.
  Score score;
  int64_t rounds = 0;
};

Score MeanScore(const std::vector<FinishedRun>& runs) {
  Score score;
  for (const FinishedRun& run : runs) {
    const auto share = 1 / static_cast<double>(runs.size());
    score.errors += share * static_cast<double>(run.error_count());
    score.cross_entropy += share * run.run.latest_evaluation().cross_entropy();
  }
  return score;
}

class SweepExperiment : public Experiment {
 public:
  using Experiment::Experiment;

  std::vector<RunSpec> Plan() const override {
    const StudentPair pair = MakePair();
    std::vector<RunSpec> plan = PlanPair(pair);
    std::vector<Cell> cells = AllCells();
    if (!settings_.successive_halving) {
      Append(OverSeeds(CellSpecs(pair, cells, FullRounds()), settings_.seeds), &plan);
      return plan;
    }
    for (const int64_t rounds : HalvingRounds(cells.size())) {
      Append(OverSeeds(CellSpecs(pair, cells, rounds), settings_.seeds), &plan);
      cells.resize((cells.size() + 1) / 2);
    }
    return plan;
  }

  absl::Status Run(Laboratory* lab, Results* results) override {
    results->title = "Temperature and alpha on " + recipe_.dataset;
    results->summary =
        "Students at each temperature, up to one that smooths all differences away, and each "
        "alpha, "
        "the weight of the soft targets. The recommended pair is chosen on the validation part of "
        "the training data; the test images see it alone.";
    StudentPair pair = MakePair();
    DISTILLERY_RETURN_IF_ERROR(lab->ChooseRates(&pair));
    std::vector<Cell> cells = AllCells();
    DISTILLERY_ASSIGN_OR_RETURN(const size_t best, Search(lab, pair, &cells, results));
    const Cell& chosen = cells[best];
    AddMaps(cells, chosen, results);

    StudentPair final = pair;
    final.hard.name = "hard";
    final.distilled = CellSpec(pair, chosen, FullRounds());
    final.distilled.name = "recommended";
    for (RunSpec* const spec : {&final.hard, &final.distilled}) {
      spec->dataset.train_split = recipe_.student.dataset.train_split;
      spec->dataset.evaluation_split = recipe_.student.dataset.evaluation_split;
      spec->training.rounds = recipe_.student.training.rounds;
      spec->training.local_epochs = recipe_.student.training.local_epochs;
      spec->evaluation = recipe_.student.evaluation;
    }
    DISTILLERY_ASSIGN_OR_RETURN(
        const auto groups, lab->DoOverSeeds("the recommended pair", {final.hard, final.distilled}));
    results->tables.insert(results->tables.begin(), FinalTable(groups, chosen));
    results->tables.push_back(lab->grid_table());
    for (const auto& group : groups) {
      DISTILLERY_RETURN_IF_ERROR(lab->Keep(group.front(), /*main=*/true, results));
    }
    return absl::OkStatus();
  }

 private:
  static void Append(const std::vector<RunSpec>& more, std::vector<RunSpec>* specs) {
    specs->insert(specs->end(), more.begin(), more.end());
  }

  std::vector<Cell> AllCells() const {
    std::vector<Cell> cells;
    for (size_t alpha = 0; alpha < recipe_.sweep_alphas.size(); ++alpha) {
      for (size_t t = 0; t < recipe_.sweep_temperatures.size(); ++t) {
        Cell cell;
        cell.temperature = t;
        cell.alpha = alpha;
        cells.push_back(cell);
      }
    }
    return cells;
  }

  // Rounds are counted in the unit of the first rung of halving, so that its last one trains about
  // as long as the recipe says.
  int64_t FullRounds() const { return HalvingRounds(AllCells().size()).back(); }
  int64_t EpochsOfRound() const {
    return std::max<int64_t>(1, (recipe_.study_epochs + FullRounds() / 2) / FullRounds());
  }

  RunSpec CellSpec(const StudentPair& pair, const Cell& cell, int64_t rounds) const {
    RunSpec spec = pair.distilled;
    spec.loss.temperature = recipe_.sweep_temperatures[cell.temperature];
    spec.loss.alpha = recipe_.sweep_alphas[cell.alpha];
    spec.name = absl::StrCat("T-", spec.loss.temperature, "-alpha-", spec.loss.alpha);
    spec.dataset.train_split = "fit";
    spec.dataset.evaluation_split = "validation";
    spec.evaluation.every_rounds = 0;
    // Few, for each costs an upload; a power of two as `rounds` is, so that it divides the epochs.
    constexpr int64_t kMostTasks = 4;
    spec.training.rounds = std::min(rounds, kMostTasks);
    SetEpochs(rounds * EpochsOfRound(), &spec);
    return spec;
  }

  std::vector<RunSpec> CellSpecs(const StudentPair& pair, const std::vector<Cell>& cells,
                                 int64_t rounds) const {
    std::vector<RunSpec> specs;
    specs.reserve(cells.size());
    for (const Cell& cell : cells) specs.push_back(CellSpec(pair, cell, rounds));
    return specs;
  }

  // Fills scores and rounds of all cells; the position of the recommended one.
  absl::StatusOr<size_t> Search(Laboratory* lab, const StudentPair& pair, std::vector<Cell>* cells,
                                Results* results) const {
    std::vector<size_t> left(cells->size());
    for (size_t i = 0; i < left.size(); ++i) left[i] = i;
    std::vector<int64_t> rungs = {FullRounds()};
    if (settings_.successive_halving) rungs = HalvingRounds(cells->size());
    ResultTable table;
    table.title = "Rungs of successive halving";
    table.columns = {{"epochs", "", 0},
                     {"pairs", "", 0},
                     {"best pair", "", 0},
                     {"its errors", "", 1},
                     {"worst errors kept", "", 1}};
    for (const int64_t rounds : rungs) {
      std::vector<Cell> tried;
      tried.reserve(left.size());
      for (const size_t i : left) tried.push_back((*cells)[i]);
      DISTILLERY_ASSIGN_OR_RETURN(
          const auto groups,
          lab->DoOverSeeds(absl::StrCat(tried.size(), " pairs"), CellSpecs(pair, tried, rounds)));
      std::vector<Score> scores;
      for (size_t i = 0; i < left.size(); ++i) {
        Cell& cell = (*cells)[left[i]];
        cell.score = MeanScore(groups[i]);
        cell.rounds = rounds;
        scores.push_back(cell.score);
      }
      std::vector<size_t> kept;
      for (const size_t position : BetterHalf(scores)) kept.push_back(left[position]);
      const Cell& best = (*cells)[kept.front()];
      table.rows.push_back({absl::StrCat(rounds * EpochsOfRound()), absl::StrCat(left.size()),
                            Describe(best), best.score.errors, (*cells)[kept.back()].score.errors});
      left = std::move(kept);
      // For the next rung the order of the cells, which names no winner.
      if (rounds != rungs.back()) std::sort(left.begin(), left.end());
    }
    if (settings_.successive_halving) {
      table.note = "Each rung trains twice as long as the one before and keeps the better half.";
      results->tables.push_back(std::move(table));
    }
    return left.front();
  }

  std::string Describe(const Cell& cell) const {
    return absl::StrCat("T = ", recipe_.sweep_temperatures[cell.temperature],
                        ", alpha = ", recipe_.sweep_alphas[cell.alpha]);
  }

  void AddMaps(const std::vector<Cell>& cells, const Cell& chosen, Results* results) const {
    ResultFigure map;
    map.kind = FigureKind::kHeatMap;
    map.title = "Errors on the validation part";
    map.x = {"temperature", "", false};
    map.y = {"alpha", "", false};
    map.value = {"errors", "", false};
    for (const double t : recipe_.sweep_temperatures) map.x_labels.push_back(absl::StrCat(t));
    for (const double alpha : recipe_.sweep_alphas) map.y_labels.push_back(absl::StrCat(alpha));
    map.values.assign(map.y_labels.size(), std::vector<double>(map.x_labels.size()));
    map.mark = {static_cast<int64_t>(chosen.alpha), static_cast<int64_t>(chosen.temperature)};
    map.note =
        absl::StrCat(MeansOf(settings_.seeds), " after ", FullRounds() * EpochsOfRound(),
                     " epochs on the rest of the training data, all at the rate chosen for T = ",
                     recipe_.student.loss.temperature, ", alpha ", recipe_.student.loss.alpha,
                     ". Recommended: the fewest errors, of equals the lowest cross entropy.");
    ResultFigure epochs = map;
    for (const Cell& cell : cells) {
      map.values[cell.alpha][cell.temperature] = cell.score.errors;
      epochs.values[cell.alpha][cell.temperature] =
          static_cast<double>(cell.rounds * EpochsOfRound());
    }
    if (!settings_.successive_halving) {
      results->figures.push_back(std::move(map));
      return;
    }
    map.note = absl::StrCat(
        "After the last rung that each pair was in: pairs trained for "
        "different times are not comparable, see the epochs. Means of ",
        settings_.seeds, " seeds.");
    epochs.title = "Epochs that each pair was given";
    epochs.value = {"epochs", "", false};
    epochs.note = "Successive halving spends its time on the pairs that do well.";
    results->figures.push_back(std::move(map));
    results->figures.push_back(std::move(epochs));
  }

  ResultTable FinalTable(const std::vector<std::vector<FinishedRun>>& groups,
                         const Cell& chosen) const {
    ResultTable table;
    table.title = "The recommended pair on the test split";
    table.columns = {{"student", "", 0}, {"errors", "", 1}, {"accuracy", "%", 2}};
    table.rows = {
        {"hard labels", MeanCell(ErrorCounts(groups[0])), MeanCell(Accuracies(groups[0]))},
        {absl::StrCat("soft targets, ", Describe(chosen)), MeanCell(ErrorCounts(groups[1])),
         MeanCell(Accuracies(groups[1]))},
        {"hard minus soft, paired by seed",
         MeanCell(Differences(ErrorCounts(groups[0]), ErrorCounts(groups[1]))),
         {}}};
    table.note = absl::StrCat(MeansOf(settings_.seeds), " on ", groups[0][0].sample_count(),
                              " test images, after training on all training data.");
    return table;
  }
};

}  // namespace

std::unique_ptr<Experiment> MakeSweepExperiment(ExperimentRecipe recipe,
                                                ExperimentSettings settings) {
  return std::make_unique<SweepExperiment>(std::move(recipe), settings);
}

}  // namespace distillery

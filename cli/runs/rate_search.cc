#include "cli/runs/rate_search.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {

StudentPair MakeStudentPair(const RunSpec& student) {
  StudentPair pair{student, student};
  pair.hard.name = "hard";
  pair.hard.loss.alpha = 0;
  pair.distilled.name = "distilled";
  return pair;
}

std::vector<RunSpec> RateGrid(const std::vector<double>& rates, const StudentPair& pair) {
  std::vector<RunSpec> specs;
  for (const RunSpec* const student : {&pair.hard, &pair.distilled}) {
    for (const double rate : rates) {
      RunSpec spec = *student;
      spec.name = absl::StrCat(student->name, "-", rate);
      spec.dataset.train_split = "fit";
      spec.dataset.evaluation_split = "validation";
      spec.evaluation.every_rounds = 0;
      spec.training.learning_rate = rate;
      specs.push_back(std::move(spec));
    }
  }
  return specs;
}

absl::StatusOr<std::vector<GridPoint>> ChooseRates(const DoRuns& do_runs,
                                                   const std::vector<double>& rates,
                                                   StudentPair* pair) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<v1::Run> runs, do_runs(RateGrid(rates, *pair)));
  std::vector<GridPoint> grid;
  size_t next = 0;
  for (RunSpec* const student : {&pair->hard, &pair->distilled}) {
    int64_t fewest = -1;
    for (const double rate : rates) {
      const v1::EvaluationMetrics& metrics = runs[next++].latest_evaluation();
      const int64_t errors = metrics.sample_count() - metrics.correct_count();
      grid.push_back({student->name, rate, errors, metrics.sample_count()});
      if (fewest >= 0 && errors >= fewest) continue;
      fewest = errors;
      student->training.learning_rate = rate;
    }
  }
  return grid;
}

}  // namespace distillery

#include "cli/experiment/experiment.h"

#include "common/base/names.h"

namespace distillery {

StudentPair Experiment::MakePair(const std::string& suffix) const {
  StudentPair pair = MakeStudentPair(recipe_.student);
  pair.hard.name = "hard" + suffix;
  pair.distilled.name = "soft" + suffix;
  return pair;
}

std::vector<RunSpec> Experiment::PlanPair(const StudentPair& pair) const {
  std::vector<RunSpec> plan = RateGrid(recipe_.rates, pair);
  const std::vector<RunSpec> students = OverSeeds({pair.hard, pair.distilled}, settings_.seeds);
  plan.insert(plan.end(), students.begin(), students.end());
  return plan;
}

const std::vector<ExperimentKind>& KnownExperiments() {
  static const auto* const known = new std::vector<ExperimentKind>{
      {"mnist", "hinton",
       "teacher, student on hard labels, student on soft targets; temperature by width",
       MakeHintonExperiment},
      {"zero-shot", "",
       "a student recognises a class that it never saw, once that class's bias is raised",
       MakeZeroShotExperiment},
      {"small-data", "",
       "hard against soft on 1 to 100 % of the data, training beside test accuracy",
       MakeSmallDataExperiment},
      {"label-noise", "", "hard against soft with 0, 20 and 40 % wrong labels",
       MakeLabelNoiseExperiment},
      {"robustness", "", "hard against soft under noise, shift and blur at five strengths",
       MakeRobustnessExperiment},
      {"sweep", "", "temperature to 100 by alpha, and the pair that the validation part recommends",
       MakeSweepExperiment},
      {"compression", "", "accuracy and file size over widths, float32 and int8",
       MakeCompressionExperiment}};
  return *known;
}

absl::StatusOr<const ExperimentKind*> FindExperiment(const std::string& name) {
  std::vector<std::string> names;
  for (const ExperimentKind& kind : KnownExperiments()) {
    if (name == kind.name || (!kind.alias.empty() && name == kind.alias)) return &kind;
    names.push_back(kind.name);
    if (!kind.alias.empty()) names.push_back(kind.alias);
  }
  return absl::InvalidArgumentError(UnknownName("experiment", name, names));
}

}  // namespace distillery

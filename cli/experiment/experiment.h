// An experiment: which runs it needs, and what is found in them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/experiment/laboratory.h"
#include "cli/experiment/recipe.h"
#include "cli/report/results.h"
#include "cli/runs/rate_search.h"

namespace distillery {

struct ExperimentSettings {
  int64_t seeds = 3;
  // zero-shot: the class that is left out; empty: 3, or the last of fewer classes.
  std::optional<int64_t> omitted_class;
  // sweep: by successive halving.
  bool successive_halving = false;
};

// Threads: one.
class Experiment {
 public:
  Experiment(ExperimentRecipe recipe, ExperimentSettings settings)
      : recipe_(std::move(recipe)), settings_(settings) {}
  virtual ~Experiment() = default;
  // All runs that Run will do, at rates not chosen yet: what its time is estimated from.
  virtual std::vector<RunSpec> Plan() const = 0;
  // Does the runs and fills title, summary, tables, figures and runs. Errors of Laboratory.
  virtual absl::Status Run(Laboratory* lab, Results* results) = 0;

 protected:
  // The recipe's student on hard labels alone, and distilled: "hard" and "soft" with `suffix`.
  StudentPair MakePair(const std::string& suffix = "") const;
  // Runs of ChooseRates and of both students over seeds.
  std::vector<RunSpec> PlanPair(const StudentPair& pair) const;

  const ExperimentRecipe recipe_;
  const ExperimentSettings settings_;
};

struct ExperimentKind {
  std::string name;
  // Another name; "": none.
  std::string alias;
  // What it shows, in a line.
  std::string line;
  std::unique_ptr<Experiment> (*make)(ExperimentRecipe recipe, ExperimentSettings settings);
};

const std::vector<ExperimentKind>& KnownExperiments();
// INVALID_ARGUMENT with the nearest name.
absl::StatusOr<const ExperimentKind*> FindExperiment(const std::string& name);

std::unique_ptr<Experiment> MakeHintonExperiment(ExperimentRecipe recipe,
                                                 ExperimentSettings settings);
std::unique_ptr<Experiment> MakeZeroShotExperiment(ExperimentRecipe recipe,
                                                   ExperimentSettings settings);
std::unique_ptr<Experiment> MakeSmallDataExperiment(ExperimentRecipe recipe,
                                                    ExperimentSettings settings);
std::unique_ptr<Experiment> MakeLabelNoiseExperiment(ExperimentRecipe recipe,
                                                     ExperimentSettings settings);
std::unique_ptr<Experiment> MakeRobustnessExperiment(ExperimentRecipe recipe,
                                                     ExperimentSettings settings);
std::unique_ptr<Experiment> MakeSweepExperiment(ExperimentRecipe recipe,
                                                ExperimentSettings settings);
std::unique_ptr<Experiment> MakeCompressionExperiment(ExperimentRecipe recipe,
                                                      ExperimentSettings settings);

}  // namespace distillery

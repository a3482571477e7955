// Where experiments are done: the folder, the teacher, and processes that do runs, this machine's
// own or those of a given coordinator. Each step that was done before, by this process or by one
// that was interrupted, is found again.
//
//   DISTILLERY_ASSIGN_OR_RETURN(const auto lab, Laboratory::Open(options, recipe, planned));
//   DISTILLERY_ASSIGN_OR_RETURN(const auto runs, lab->Do("students", specs));
//
// Threads: one, which must outlive the object.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/experiment/batch_progress.h"
#include "cli/experiment/experiment_folder.h"
#include "cli/experiment/recipe.h"
#include "cli/models/logit_reader.h"
#include "cli/models/student_model.h"
#include "cli/report/results.h"
#include "cli/runs/cluster.h"
#include "cli/runs/rate_search.h"
#include "cli/runs/run_client.h"
#include "cli/runs/run_folder.h"
#include "common/data/catalog.h"

namespace distillery {

struct LaboratoryOptions {
  // The folder's path and purpose but for the teacher.
  std::string folder;
  std::string experiment;
  std::string data_dir;
  // TorchScript, and a card (JSON) if it carries none; "": a teacher is trained.
  std::string teacher_path;
  std::string teacher_card;
  int workers = 1;
  // Where processes that are started here compute: "cpu", "cuda" or "cuda:N".
  std::string device = "cpu";
  // Runs of DoOverSeeds take seeds 1 to so many.
  int64_t seeds = 1;
  // Else local processes are started.
  std::optional<CoordinatorFlags> coordinator;
  // Said after a stop signal: how to go on.
  std::string resume_hint;
};

// A run that succeeded.
struct FinishedRun {
  RunSpec spec;
  v1::Run run;

  // On spec's evaluation split.
  int64_t sample_count() const { return run.latest_evaluation().sample_count(); }
  int64_t error_count() const { return sample_count() - run.latest_evaluation().correct_count(); }
  double accuracy_percent() const {
    return 100 * static_cast<double>(run.latest_evaluation().correct_count()) /
           static_cast<double>(sample_count());
  }
};

// All specs with seed 1, then all with seed 2, and so on.
std::vector<RunSpec> OverSeeds(const std::vector<RunSpec>& specs, int64_t seeds);
// The figure of each run.
std::vector<double> ErrorCounts(const std::vector<FinishedRun>& runs);
std::vector<double> Accuracies(const std::vector<FinishedRun>& runs);

class Laboratory {
 public:
  // Says how long `planned` (all runs of the experiment) will take, if the scale is "paper"; takes
  // or trains the teacher; starts processes. Errors of ExperimentFolder, DoLocalRun, Cluster and
  // LoadModel; CANCELLED after a stop signal, as all below.
  static absl::StatusOr<std::unique_ptr<Laboratory>> Open(const LaboratoryOptions& options,
                                                          const ExperimentRecipe& recipe,
                                                          const std::vector<RunSpec>& planned);

  // In the order of `specs`. `purpose` is for the progress line.
  absl::StatusOr<std::vector<FinishedRun>> Do(const std::string& purpose,
                                              const std::vector<RunSpec>& specs);
  // Each with all seeds: [spec][seed].
  absl::StatusOr<std::vector<std::vector<FinishedRun>>> DoOverSeeds(
      const std::string& purpose, const std::vector<RunSpec>& specs);
  // Sets both learning rates to the best of the recipe's; see rate_search.h. Adds the grid to
  // grid_table().
  absl::Status ChooseRates(StudentPair* pair);
  // Errors of each student at each rate, of all ChooseRates.
  ResultTable grid_table() const;

  // On the test split.
  const ModelFigures& teacher() const { return teacher_; }
  absl::StatusOr<std::shared_ptr<const Dataset>> Split(const std::string& split);
  // `rows` and `change` as in LogitQuestion.
  absl::StatusOr<SplitLogits> TeacherLogits(const std::string& split,
                                            const std::vector<int64_t>& rows = {},
                                            const PixelChange& change = nullptr);
  absl::StatusOr<SplitLogits> StudentLogits(const FinishedRun& run, const std::string& split,
                                            const std::vector<int64_t>& rows = {},
                                            const PixelChange& change = nullptr);
  // Writes the student, float32 and with int8 weights, and measures it on the test split.
  absl::StatusOr<ModelFigures> MeasureStudent(const FinishedRun& run, bool int8);

  // Keeps the run's folder and names it in the results; `main`: the report shows its panels.
  absl::Status Keep(const FinishedRun& run, bool main, Results* results);

  // Where a report finds the teacher and the data.
  RunSources sources() const;
  absl::Duration spent() const { return folder_->spent(); }
  const ExperimentFolder& folder() const { return *folder_; }

 private:
  Laboratory(LaboratoryOptions options, ExperimentRecipe recipe,
             std::unique_ptr<ExperimentFolder> folder, TrainingCost cost, double planned);

  static absl::Status PrepareTeacher(const LaboratoryOptions& options,
                                     const ExperimentRecipe& recipe,
                                     const ExperimentFolder& folder);
  absl::Status Start();
  // Relative to the experiment's folder.
  static std::string RunFolder(const FinishedRun& run);
  absl::StatusOr<std::string> ExportTo(const FinishedRun& run, const std::string& name, bool int8);

  const LaboratoryOptions options_;
  const ExperimentRecipe recipe_;
  const std::unique_ptr<ExperimentFolder> folder_;
  DatasetCatalog catalog_;
  BatchProgress progress_;
  std::unique_ptr<Cluster> cluster_;
  std::optional<RunClient> client_;
  ModelFigures teacher_;
  std::vector<std::vector<ResultCell>> grid_rows_;
  // Files that ExportTo has written, and the SHA-256 of the weights in each.
  std::map<std::string, std::string> exported_;
};

}  // namespace distillery

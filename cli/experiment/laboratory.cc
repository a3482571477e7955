#include "cli/experiment/laboratory.h"

#include <algorithm>
#include <cstdio>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/models/model_export.h"
#include "cli/runs/local_run.h"
#include "cli/runs/progress.h"
#include "cli/runs/watched_runs.h"
#include "common/base/checksum.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr char kTeacherFile[] = "teacher.pt";
constexpr int64_t kMaxModelBytes = int64_t{16} << 30;
constexpr int64_t kShardSize = 1000;

int Cores() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

// Says on standard error how long it will take, measured on this machine.
absl::StatusOr<TrainingCost> Estimate(const LaboratoryOptions& options,
                                      const ExperimentRecipe& recipe,
                                      const std::vector<RunSpec>& planned,
                                      const ExperimentFolder& folder) {
  if (!recipe.paper()) return TrainingCost(recipe);
  std::fprintf(stderr, "measuring how fast this machine trains\n");
  DISTILLERY_ASSIGN_OR_RETURN(
      const TrainingCost cost,
      TrainingCost::Measure(recipe, options.data_dir, options.device, folder.File("probe")));
  // A second thread of one process adds less than a second process does.
  constexpr double kSecondThread = 0.7;
  double teacher = 0;
  if (options.teacher_path.empty()) {
    teacher = cost.Seconds(recipe.teacher);
    if (recipe.teacher.compute_threads > 1 && Cores() > 1) teacher /= 1 + kSecondThread;
  }
  // On a GPU they take turns.
  const int processes = options.device == "cpu" ? std::min(options.workers, Cores()) : 1;
  const double students = cost.Seconds(planned) / processes;
  std::fprintf(stderr,
               "this will take about %s on this machine, what was done before included: %s for the "
               "teacher, %s for %zu students by %d processes\n",
               ShortDuration(absl::Seconds(teacher + students)).c_str(),
               ShortDuration(absl::Seconds(teacher)).c_str(),
               ShortDuration(absl::Seconds(students)).c_str(), planned.size(), processes);
  if (options.coordinator.has_value()) {
    std::fprintf(stderr, "the workers of the given coordinator decide how long it takes there\n");
  }
  return cost;
}

}  // namespace

std::vector<RunSpec> OverSeeds(const std::vector<RunSpec>& specs, int64_t seeds) {
  std::vector<RunSpec> all;
  for (int64_t seed = 1; seed <= seeds; ++seed) {
    for (RunSpec spec : specs) {
      spec.seed = seed;
      all.push_back(std::move(spec));
    }
  }
  return all;
}

std::vector<double> ErrorCounts(const std::vector<FinishedRun>& runs) {
  std::vector<double> counts;
  counts.reserve(runs.size());
  for (const FinishedRun& run : runs) counts.push_back(static_cast<double>(run.error_count()));
  return counts;
}

std::vector<double> Accuracies(const std::vector<FinishedRun>& runs) {
  std::vector<double> accuracies;
  accuracies.reserve(runs.size());
  for (const FinishedRun& run : runs) accuracies.push_back(run.accuracy_percent());
  return accuracies;
}

absl::StatusOr<std::unique_ptr<Laboratory>> Laboratory::Open(const LaboratoryOptions& options,
                                                             const ExperimentRecipe& recipe,
                                                             const std::vector<RunSpec>& planned) {
  FolderPurpose purpose{options.experiment, recipe.dataset, recipe.scale, "", options.device};
  if (!options.teacher_path.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes,
                                ReadFile(options.teacher_path, kMaxModelBytes));
    purpose.teacher_sha256 = Sha256Hex(bytes);
  }
  DISTILLERY_ASSIGN_OR_RETURN(auto folder, ExperimentFolder::Open(options.folder, purpose));
  DISTILLERY_ASSIGN_OR_RETURN(const TrainingCost cost, Estimate(options, recipe, planned, *folder));
  DISTILLERY_RETURN_IF_ERROR(PrepareTeacher(options, recipe, *folder));
  std::unique_ptr<Laboratory> lab(
      new Laboratory(options, recipe, std::move(folder), cost, cost.Seconds(planned)));
  DISTILLERY_RETURN_IF_ERROR(lab->Start());
  return lab;
}

Laboratory::Laboratory(LaboratoryOptions options, ExperimentRecipe recipe,
                       std::unique_ptr<ExperimentFolder> folder, TrainingCost cost, double planned)
    : options_(std::move(options)),
      recipe_(std::move(recipe)),
      folder_(std::move(folder)),
      catalog_(options_.data_dir),
      progress_(stderr, cost, planned) {}

absl::Status Laboratory::PrepareTeacher(const LaboratoryOptions& options,
                                        const ExperimentRecipe& recipe,
                                        const ExperimentFolder& folder) {
  const std::string path = folder.File(kTeacherFile);
  if (!options.teacher_path.empty()) {
    if (!options.teacher_card.empty()) {
      // With its card, so that the folder says all by itself.
      return ExportModelFile(options.teacher_path, options.teacher_card, {path}).status();
    }
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes,
                                ReadFile(options.teacher_path, kMaxModelBytes));
    return WriteFileDurably(path, bytes);
  }
  std::fprintf(stderr, "training a teacher, %s, on %s\n",
               recipe.teacher.student.architecture.c_str(), recipe.dataset.c_str());
  LocalRun run;
  run.spec = recipe.teacher;
  run.folder = folder.File("teacher");
  run.data_dir = options.data_dir;
  run.device = options.device;
  run.resume_hint = options.resume_hint;
  const absl::Status trained = DoLocalRun(run).status();
  DISTILLERY_RETURN_IF_ERROR(folder.NoteSpent());
  DISTILLERY_RETURN_IF_ERROR(trained);
  DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes,
                              ReadFile(run.folder + "/student.pt", kMaxModelBytes));
  return WriteFileDurably(path, bytes);
}

absl::Status Laboratory::Start() {
  ModelQuestion question;
  question.model_path = folder_->File(kTeacherFile);
  question.dataset = {recipe_.dataset, "test", kShardSize};
  question.data_dir = options_.data_dir;
  DISTILLERY_ASSIGN_OR_RETURN(teacher_, MeasureModel(question));
  std::fprintf(stderr, "teacher: %d errors of %d\n",
               static_cast<int>(teacher_.metrics.sample_count - teacher_.metrics.correct_count),
               static_cast<int>(teacher_.metrics.sample_count));
  CoordinatorFlags flags;
  if (options_.coordinator.has_value()) {
    flags = *options_.coordinator;
  } else {
    Cluster::Options options;
    options.folder = folder_->path();
    options.data_dir = options_.data_dir;
    options.teacher_model = question.model_path;
    options.workers = options_.workers;
    options.device = options_.device;
    DISTILLERY_ASSIGN_OR_RETURN(cluster_, Cluster::Start(options));
    flags.address = cluster_->coordinator_address();
  }
  DISTILLERY_ASSIGN_OR_RETURN(client_, RunClient::Connect(flags));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FinishedRun>> Laboratory::Do(const std::string& purpose,
                                                        const std::vector<RunSpec>& specs) {
  progress_.Begin(purpose, specs);
  const WatchOptions watch{cluster_.get(),
                           [this](const std::vector<v1::Run>& runs) { progress_.Show(runs); },
                           // The teacher of a coordinator that was given is not known here.
                           {cluster_ == nullptr ? "" : cluster_->teacher_digest(), &catalog_},
                           options_.resume_hint};
  auto runs = WatchRuns(*client_, specs, watch);
  progress_.Finish();
  DISTILLERY_RETURN_IF_ERROR(folder_->NoteSpent());
  DISTILLERY_RETURN_IF_ERROR(runs.status());
  std::vector<FinishedRun> finished;
  for (size_t i = 0; i < specs.size(); ++i) {
    finished.push_back({specs[i], (*runs)[i]});
    SetFilePaths(specs[i], &finished.back().run);
  }
  return finished;
}

absl::StatusOr<std::vector<std::vector<FinishedRun>>> Laboratory::DoOverSeeds(
    const std::string& purpose, const std::vector<RunSpec>& specs) {
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<FinishedRun> finished,
                              Do(purpose, OverSeeds(specs, options_.seeds)));
  std::vector<std::vector<FinishedRun>> groups(specs.size());
  for (size_t i = 0; i < finished.size(); ++i) {
    groups[i % specs.size()].push_back(std::move(finished[i]));
  }
  return groups;
}

absl::Status Laboratory::ChooseRates(StudentPair* pair) {
  const DoRuns do_runs =
      [this](const std::vector<RunSpec>& specs) -> absl::StatusOr<std::vector<v1::Run>> {
    DISTILLERY_ASSIGN_OR_RETURN(const auto finished, Do("choosing learning rates", specs));
    std::vector<v1::Run> runs;
    runs.reserve(finished.size());
    for (const FinishedRun& one : finished) runs.push_back(one.run);
    return runs;
  };
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<GridPoint> grid,
                              distillery::ChooseRates(do_runs, recipe_.rates, pair));
  for (const RunSpec* const student : {&pair->hard, &pair->distilled}) {
    std::vector<ResultCell> row = {student->name};
    for (const GridPoint& point : grid) {
      if (point.student == student->name) row.emplace_back(static_cast<double>(point.error_count));
    }
    row.emplace_back(absl::StrCat(student->training.learning_rate));
    grid_rows_.push_back(std::move(row));
  }
  return absl::OkStatus();
}

ResultTable Laboratory::grid_table() const {
  ResultTable table;
  table.title = "Learning rates";
  table.columns = {{"student", "", 0}};
  for (const double rate : recipe_.rates) {
    table.columns.push_back({absl::StrCat("errors at ", rate), "", 0});
  }
  table.columns.push_back({"chosen", "", 0});
  table.rows = grid_rows_;
  table.note =
      "Errors on the validation part of the training data, after training on the rest of it with "
      "seed 1. Each student takes the best of the same rates, the smaller of equals.";
  return table;
}

absl::StatusOr<std::shared_ptr<const Dataset>> Laboratory::Split(const std::string& split) {
  return catalog_.Open({recipe_.dataset, split, recipe_.student.dataset.shard_size});
}

absl::StatusOr<SplitLogits> Laboratory::TeacherLogits(const std::string& split,
                                                      const std::vector<int64_t>& rows,
                                                      const PixelChange& change) {
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, Split(split));
  return ComputeLogits({folder_->File(kTeacherFile), "", rows, change}, *dataset);
}

absl::StatusOr<SplitLogits> Laboratory::StudentLogits(const FinishedRun& run,
                                                      const std::string& split,
                                                      const std::vector<int64_t>& rows,
                                                      const PixelChange& change) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string path, ExportTo(run, "student.pt", /*int8=*/false));
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, Split(split));
  return ComputeLogits({path, "", rows, change}, *dataset);
}

absl::StatusOr<ModelFigures> Laboratory::MeasureStudent(const FinishedRun& run, bool int8) {
  ModelQuestion question;
  DISTILLERY_ASSIGN_OR_RETURN(question.model_path,
                              ExportTo(run, int8 ? "student_int8.pt" : "student.pt", int8));
  question.dataset = {recipe_.dataset, "test", kShardSize};
  question.data_dir = options_.data_dir;
  return MeasureModel(question);
}

std::string Laboratory::RunFolder(const FinishedRun& run) {
  return absl::StrCat("runs/", run.spec.name, "-", run.spec.seed);
}

absl::StatusOr<std::string> Laboratory::ExportTo(const FinishedRun& run, const std::string& name,
                                                 bool int8) {
  const std::string path = absl::StrCat(folder_->File(RunFolder(run)), "/", name);
  std::string& written = exported_[path];
  if (written == run.run.weights_sha256()) return path;
  DISTILLERY_RETURN_IF_ERROR(ExportStudent(*client_, run.run, -1, {path, int8}).status());
  written = run.run.weights_sha256();
  return path;
}

RunSources Laboratory::sources() const {
  return {folder_->File(kTeacherFile), "", options_.data_dir};
}

absl::Status Laboratory::Keep(const FinishedRun& run, bool main, Results* results) {
  ResultRun kept;
  kept.name = run.spec.name;
  // An id of processes that end with the experiment says nothing; it differs from folder to folder.
  if (options_.coordinator.has_value()) kept.run_id = run.run.run_id();
  kept.folder = RunFolder(run);
  kept.teacher = kTeacherFile;
  kept.seed = run.spec.seed;
  kept.weights_sha256 = run.run.weights_sha256();
  kept.main = main;
  DISTILLERY_ASSIGN_OR_RETURN(v1::GetRunResponse full, client_->Get(run.run.run_id()));
  SetFilePaths(run.spec, full.mutable_run());
  DISTILLERY_RETURN_IF_ERROR(WriteRunFolder(*client_, full, folder_->File(kept.folder), sources()));
  results->runs.push_back(std::move(kept));
  return absl::OkStatus();
}

}  // namespace distillery

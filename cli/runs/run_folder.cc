#include "cli/runs/run_folder.h"

#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/models/student_model.h"
#include "cli/runs/run_events.h"
#include "cli/runs/run_text.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/weights/optimizer_state.h"
#include "student_worker/rpc/coordinator_client.h"

namespace distillery {

namespace {

// The README's line on student_int8.pt, which it writes. A network of somebody's own may have no
// int8 form; the run is no worse for that.
absl::StatusOr<std::string> WriteInt8Student(const RunClient& client, const v1::Run& run,
                                             const std::string& folder) {
  const absl::StatusOr<ExportedFile> file =
      ExportStudent(client, run, -1, {folder + "/student_int8.pt", /*int8=*/true});
  if (absl::IsInvalidArgument(file.status())) {
    return absl::StrCat("no student_int8.pt   ", std::string(file.status().message()), "\n");
  }
  DISTILLERY_RETURN_IF_ERROR(file.status());
  return absl::StrCat("student_int8.pt      the student with int8 weights for small devices; ",
                      DescribeSizes(*file), "\n");
}

// The histograms of the newest weights, and of the rounds before that the coordinator still keeps.
absl::StatusOr<std::map<int64_t, NamedHistograms>> KeptWeights(const RunClient& client,
                                                               const v1::Run& run) {
  constexpr int64_t kMostRounds = 3;
  // Larger ones are not downloaded again for a picture.
  constexpr size_t kLargestFile = size_t{16} << 20;
  std::map<int64_t, NamedHistograms> kept;
  CallCanceller canceller;
  CoordinatorClient downloads(client.channel(), &canceller);
  for (int64_t back = 0; back < kMostRounds && back <= run.completed_round_count(); ++back) {
    const int64_t round = run.completed_round_count() - back;
    const auto download = downloads.DownloadWeights(run.run_id(), round);
    if (absl::IsNotFound(download.status())) break;
    DISTILLERY_RETURN_IF_ERROR(download.status());
    kept.emplace(round, WeightHistograms(ModelPart(download->weights)));
    if (download->weights.file().size() > kLargestFile) break;
  }
  return kept;
}

// Empty if the teacher is not here or does not fit: the run is no worse for that.
std::vector<float> TeacherEntropies(const v1::Run& run, const RunSources& sources) {
  constexpr int64_t kMostSamples = 1000;
  if (sources.teacher_model.empty() || !FileExists(sources.teacher_model)) return {};
  ModelQuestion question;
  question.model_path = sources.teacher_model;
  question.card_path = sources.teacher_card;
  const v1::RunDataset& dataset = run.spec().dataset();
  question.dataset = {dataset.name(), dataset.evaluation_split(), dataset.shard_size()};
  question.data_dir = sources.data_dir;
  auto entropies = ComputeEntropies(question, kMostSamples);
  if (entropies.ok()) return *std::move(entropies);
  LogWarning("no entropies of the teacher: {}", std::string(entropies.status().message()));
  return {};
}

absl::Status WriteTensorBoard(const RunClient& client, const v1::GetRunResponse& run,
                              const v1::ListLeasesResponse& leases, const RunSources& sources,
                              const std::string& folder) {
  RunEvents events;
  events.run = run;
  events.leases.assign(leases.leases().begin(), leases.leases().end());
  DISTILLERY_ASSIGN_OR_RETURN(events.weights, KeptWeights(client, run.run()));
  events.teacher_entropies = TeacherEntropies(run.run(), sources);
  // Files of a former run would be shown as part of this one.
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return WriteRunEvents(events, folder);
}

}  // namespace

absl::StatusOr<ExportedFile> ExportStudent(const RunClient& client, const v1::Run& run,
                                           int64_t round, const ExportTarget& target,
                                           const std::string& student_file) {
  DISTILLERY_RETURN_IF_ERROR(CheckExportTarget(target));
  CallCanceller canceller;
  CoordinatorClient downloads(client.channel(), &canceller);
  DISTILLERY_ASSIGN_OR_RETURN(const DownloadedWeights download,
                              downloads.DownloadWeights(run.run_id(), round));
  StudentExport student;
  student.architecture = run.spec().student().architecture();
  student.file = student_file.empty() ? run.spec().student().model() : student_file;
  student.digest = run.spec().student().digest();
  student.card = download.model_card;
  const Weights weights = ModelPart(download.weights);
  student.weights = &weights;
  return ExportStudentTo(student, target);
}

void SetFilePaths(const RunSpec& spec, v1::Run* run) {
  run->mutable_spec()->mutable_teacher()->set_model(spec.teacher.model);
  run->mutable_spec()->mutable_student()->set_model(spec.student.model);
  run->mutable_spec()->mutable_student()->set_initial_weights(spec.student.initial_weights);
}

absl::Status WriteRunFolder(const RunClient& client, const v1::GetRunResponse& run,
                            const std::string& folder, const RunSources& sources) {
  const v1::Run& final = run.run();
  DISTILLERY_RETURN_IF_ERROR(
      ExportStudent(client, final, -1, {absl::StrCat(folder, "/student.pt")}).status());
  DISTILLERY_ASSIGN_OR_RETURN(const std::string int8, WriteInt8Student(client, final, folder));
  DISTILLERY_RETURN_IF_ERROR(
      ExportStudent(client, final, -1, {absl::StrCat(folder, "/student.safetensors")}).status());
  DISTILLERY_RETURN_IF_ERROR(
      WriteFileDurably(absl::StrCat(folder, "/metrics.json"), ToJson(run) + "\n"));
  DISTILLERY_ASSIGN_OR_RETURN(const v1::ListLeasesResponse leases,
                              client.ListLeases(final.run_id()));
  DISTILLERY_RETURN_IF_ERROR(
      WriteFileDurably(absl::StrCat(folder, "/leases.json"), ToJson(leases) + "\n"));
  DISTILLERY_RETURN_IF_ERROR(
      WriteTensorBoard(client, run, leases, sources, absl::StrCat(folder, "/tensorboard")));
  return WriteFileDurably(
      absl::StrCat(folder, "/README.txt"),
      absl::StrCat(
          "Run ", final.spec().name(), ": ", DescribeEvaluation(final.latest_evaluation()), ".\n\n",
          "student.pt           the student, TorchScript with its model card; ",
          "torch.jit.load reads it\n", int8, "student.safetensors  the same weights; SHA-256 ",
          final.weights_sha256(), "\n",
          "metrics.json         the RunSpec and the figures of each round\n",
          "leases.json          who did which task when, and what was lost and done again\n",
          "tensorboard/         the same figures as event files: tensorboard --logdir ", folder,
          "/tensorboard\n",
          "state/               the coordinator's record, if the run was made here; ",
          "safe to delete now\n"));
}

}  // namespace distillery

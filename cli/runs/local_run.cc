#include "cli/runs/local_run.h"

#include "absl/strings/str_cat.h"
#include "cli/runs/initial_weights.h"
#include "cli/runs/local_services.h"
#include "cli/runs/progress.h"
#include "cli/runs/run_client.h"
#include "cli/runs/run_files.h"
#include "cli/runs/run_folder.h"
#include "cli/runs/run_text.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/base/terminal.h"

namespace distillery {
namespace {

// What the folder still held of other specs would take the worker's time.
absl::Status CancelOthers(const RunClient& client, const v1::Run& keep) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<v1::Run> runs, client.List());
  for (const v1::Run& other : runs) {
    if (other.run_id() == keep.run_id() || HasEnded(other)) continue;
    DISTILLERY_RETURN_IF_ERROR(client.Cancel(other.run_id()).status());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::GetRunResponse> DoLocalRun(const LocalRun& run) {
  DISTILLERY_RETURN_IF_ERROR(CheckRunFiles(
      run.spec, run.spec.needs_teacher() ? run.spec.teacher.model : "", run.data_dir));
  const std::string state_dir = run.folder + "/state";
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(state_dir, Readers::kOwner));
  LocalServices::Options options;
  options.state_dir = state_dir;
  options.data_dir = run.data_dir;
  options.compute_threads = run.spec.compute_threads;
  options.student_dir = run.spec.student.model;
  options.device = run.device;
  if (run.spec.needs_teacher()) {
    options.teacher_model = run.spec.teacher.model;
    options.cache_dir = run.folder + "/cache";
  }
  options.run = &run.spec;
  DISTILLERY_ASSIGN_OR_RETURN(const auto services, LocalServices::Start(options));
  const RunClient client(services->coordinator(), "this process");
  RunSpec spec = run.spec;
  DISTILLERY_RETURN_IF_ERROR(UploadInitialWeights(client, &spec));
  v1::Run begun;
  {
    DatasetCatalog datasets(run.data_dir);  // what it may read is not kept during the run
    DISTILLERY_ASSIGN_OR_RETURN(
        begun, client.SubmitOrResume(spec, {services->teacher_digest(), &datasets}));
  }
  DISTILLERY_RETURN_IF_ERROR(CancelOthers(client, begun));
  ProgressView progress(stderr);
  if (begun.completed_round_count() > 0 && !HasEnded(begun)) {
    Print(stderr, "going on after round %d\n", begun.completed_round_count());
  }
  DISTILLERY_RETURN_IF_ERROR(client.Watch({begun.run_id()}, [&](const auto& runs) {
    progress.Show(runs);
    return !StopSignal::Requested();
  }));
  progress.Finish();
  DISTILLERY_ASSIGN_OR_RETURN(v1::GetRunResponse ended, client.Get(begun.run_id()));
  if (!StandsStill(ended.run())) {
    return absl::CancelledError(absl::StrCat(
        "stopped after round ", ended.run().completed_round_count(), "; ", run.resume_hint));
  }
  DISTILLERY_RETURN_IF_ERROR(RunOutcome(ended.run(), run.resume_hint));
  SetFilePaths(run.spec, ended.mutable_run());
  DISTILLERY_RETURN_IF_ERROR(
      WriteRunFolder(client, ended, run.folder,
                     {run.spec.needs_teacher() ? run.spec.teacher.model : "", "", run.data_dir}));
  return ended;
}

}  // namespace distillery

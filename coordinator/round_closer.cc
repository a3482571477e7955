#include "coordinator/round_closer.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "coordinator/lease_ending.h"
#include "coordinator/repair.h"
#include "coordinator/round_files.h"
#include "coordinator/run_course.h"

namespace distillery {
namespace {

constexpr absl::Duration kRetryAfterDiskError = absl::Seconds(2);

// The round's row, its figures taken together from the tasks that are averaged.
RoundRow RowOf(const RunEntry& run, int64_t round, const AverageResult& average) {
  RoundRow round_row{
      run.row.run_id, round, average.weights_sha256, {}, MedianOf(average.delta_norms)};
  round_row.momentum_sha256 = average.momentum_sha256;
  round_row.variance_sha256 = average.variance_sha256;
  std::vector<const TrainMetrics*> trained;
  for (const RunEntry::TaskKey& key : run.averaged) {
    trained.push_back(&run.tasks.at(key).row.metrics);
    ++round_row.delta_count;
    if (std::get<1>(key) < round) ++round_row.late_delta_count;
  }
  round_row.metrics = RoundMetrics(trained);
  return round_row;
}

// False also if it is deleted, which may be removing its folders now.
bool GoesOn(Ledger& ledger, const std::string& run_id) ABSL_LOCKS_EXCLUDED(ledger.mutex()) {
  MutexLock lock(ledger.mutex());
  const auto run = ledger.runs.find(run_id);
  return run != ledger.runs.end() && !Ended(run->second->row.state);
}

}  // namespace

absl::Duration RoundCloser::DueOf(const std::string& run_id) const {
  const auto found = again_.find(run_id);
  return found == again_.end() ? -absl::InfiniteDuration() : found->second;
}

bool RoundCloser::AwaitNext() {
  MutexLock lock(ledger_.mutex());
  while (!ledger_.closing) {
    absl::Duration due = absl::InfiniteDuration();
    for (const std::string& run_id : ledger_.to_average) due = std::min(due, DueOf(run_id));
    const absl::Duration left = due - ledger_.Now();
    if (left <= absl::ZeroDuration()) return true;
    ledger_.wake_averager.WaitFor(ledger_.mutex(), std::min(left, absl::Minutes(1)));
  }
  return false;
}

bool RoundCloser::TakeNext(Job* job) {
  MutexLock lock(ledger_.mutex());
  if (ledger_.closing) return false;
  const auto next = std::find_if(ledger_.to_average.begin(), ledger_.to_average.end(),
                                 [this](const std::string& run_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                                     ledger_.mutex()) { return DueOf(run_id) <= ledger_.Now(); });
  if (next == ledger_.to_average.end()) return false;
  job->run_id = *next;
  ledger_.to_average.erase(next);
  const auto found = ledger_.runs.find(job->run_id);
  if (found == ledger_.runs.end()) return true;
  RunEntry& run = *found->second;
  if (Ended(run.row.state)) return true;
  job->rebuild = run.damaged;
  if (run.damaged) return true;
  if (run.row.state == RunState::kPaused) {
    run.averaging = false;  // resuming asks for it again
    return true;
  }
  job->round = run.row.completed_rounds;
  job->request = RequestAverage(*ledger_.folder, run, job->round, run.AveragedTasks());
  job->rebuild = job->request.deltas.empty();
  return true;
}

bool RoundCloser::AverageNext() {
  Job job;
  if (!TakeNext(&job)) return false;
  if (job.rebuild) {
    RebuildWeights(ledger_, job.run_id);
    return true;
  }
  if (job.request.deltas.empty()) return true;
  const LogFields about({{"run", job.run_id}, {"round", job.round}});
  const absl::Duration started = ledger_.Now();
  const absl::StatusOr<AverageResult> average = AverageDeltas(job.request);
  absl::Status status = average.status();
  const bool damaged = average.ok() && average->damaged();
  if (status.ok() && !damaged) {
    DISTILLERY_FAILPOINT("coordinator.average.written");
    if (GoesOn(ledger_, job.run_id)) {
      status = PublishAverage(*ledger_.folder, job.request, job.run_id, job.round);
    } else {
      DropAverage(job.request);
    }
  }
  // The disk's outcome matters to all, also where the run is gone meanwhile.
  (void)ledger_.disk.Note(status);
  ledger_.Write([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) {
    const auto found = ledger_.runs.find(job.run_id);
    if (found == ledger_.runs.end()) return false;
    RunEntry& run = *found->second;
    if (damaged) HandleDamage(ledger_, run, *average);
    if (damaged || Ended(run.row.state)) return false;
    if (status.ok()) status = CloseRound(run, job.round, *average, started);
    if (!status.ok()) StandStill(run, job.round, status);
    return true;
  });
  return true;
}

absl::Status RoundCloser::CloseRound(RunEntry& run, int64_t round, const AverageResult& average,
                                     absl::Duration started) {
  const std::string& run_id = run.row.run_id;
  if (const absl::Status norms = run.CheckNorms(average.delta_norms); !norms.ok()) {
    ledger_.statistics.Add(Count::kRejectedDeltas, "norm");
    run.averaging = false;
    const absl::Status paused = Pause(ledger_, run, std::string(norms.message()));
    if (!paused.ok()) LogError("run {}: {}", run_id, std::string(paused.message()));
    return absl::OkStatus();
  }
  DISTILLERY_RETURN_IF_ERROR(RecordRound(run, round, average));
  ledger_.statistics.Add(Count::kRoundsAveraged);
  ledger_.statistics.NoteAveraging(ledger_.Now() - started);
  run.averaging = false;
  const absl::Status advanced = Advance(ledger_, run);
  if (!advanced.ok()) LogError("run {}: {}", run_id, std::string(advanced.message()));
  return absl::OkStatus();
}

void RoundCloser::StandStill(RunEntry& run, int64_t round, const absl::Status& status) {
  LogError("run {}: averaging round {}: {}", run.row.run_id, round, std::string(status.message()));
  const std::string reason = ReasonShown(ledger_, status);
  if (absl::IsDataLoss(status) || absl::IsFailedPrecondition(status) || absl::IsNotFound(status)) {
    (void)EndRun(ledger_, run, RunState::kFailed,
                 absl::StrCat("averaging round ", round, ": ", reason));
    return;
  }
  if (WaitsForDisk(ledger_, run, status)) return;
  // Nothing is lost by trying again.
  run.row.state_reason = PlainText(absl::StrCat("averaging waits: ", reason));
  for (auto entry = again_.begin(); entry != again_.end();) {
    entry = entry->second <= ledger_.Now() ? again_.erase(entry) : std::next(entry);
  }
  again_[run.row.run_id] = ledger_.Now() + kRetryAfterDiskError;
  ledger_.to_average.push_back(run.row.run_id);
  ledger_.Changed(run);
}

absl::Status RoundCloser::RecordRound(RunEntry& run, int64_t round, const AverageResult& average) {
  const std::vector<TaskRow> averaged = run.AveragedTasks();
  const RoundRow round_row = RowOf(run, round, average);
  RunRow row = run.row;
  row.completed_rounds = round + 1;
  row.weights_sha256 = average.weights_sha256;
  if (row.state != RunState::kPaused) row.state_reason.clear();
  if (round_row.delta_count - round_row.late_delta_count < run.spec.training.replicas) {
    row.inexact = true;
  }
  std::vector<TaskRow> counted;
  if (run.spec.needs_quorum()) counted = averaged;
  for (TaskRow& task : counted) task.counted = true;
  DISTILLERY_RETURN_IF_ERROR(ledger_.record->Transaction(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::Status {
        DISTILLERY_RETURN_IF_ERROR(ledger_.record->Put(round_row));
        for (const TaskRow& task : counted) {
          DISTILLERY_RETURN_IF_ERROR(ledger_.record->Put(task));
        }
        DISTILLERY_RETURN_IF_ERROR(ledger_.record->Put(row));
        DISTILLERY_FAILPOINT("coordinator.round.recording");
        return absl::OkStatus();
      }));
  DISTILLERY_FAILPOINT("coordinator.round.recorded");
  run.row = row;
  run.rounds.push_back(round_row);
  run.last_round = averaged;
  run.round_began = ledger_.Now();
  const std::vector<int64_t> dropped = run.CloseRound();
  run.averaged.clear();
  for (const int64_t token : dropped) {
    const LeaseRow* const lease = ledger_.leases.Find(token);
    if (lease == nullptr) continue;
    // The round stands on record already; at worst the lease is found open, and ended, at a
    // restart.
    const absl::Status late =
        ledger_.record->Put(EndLease(ledger_, LeaseRow(*lease), LeaseOutcome::kLate));
    if (!late.ok()) LogError("{}", std::string(late.message()));
  }
  run.MakeTasks();
  ledger_.NoteGarbage(run);
  ledger_.Changed(run);
  return absl::OkStatus();
}

}  // namespace distillery

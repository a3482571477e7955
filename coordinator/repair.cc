#include "coordinator/repair.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "coordinator/average.h"
#include "coordinator/lease_ending.h"
#include "coordinator/round_files.h"
#include "coordinator/run_course.h"
#include "coordinator/state/file_check.h"

namespace distillery {
namespace {

// The tasks are done again.
absl::Status RedoTasks(Ledger& ledger, RunEntry& run, const std::vector<TaskRow>& tasks)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  std::vector<TaskRow> redone;
  for (const TaskRow& task : tasks) {
    TaskRow row;
    row.task = task.task;
    row.failures = task.failures;
    row.failed_workers = task.failed_workers;
    redone.push_back(std::move(row));
  }
  DISTILLERY_RETURN_IF_ERROR(ledger.record->PutAll(redone));
  for (const TaskRow& row : redone) {
    TaskEntry* const task = run.Find(row.task);
    if (task == nullptr) continue;
    task->row = row;
    // A late one is not begun again.
    if (row.task.kind == TaskKind::kTrain && row.task.round < run.row.completed_rounds) {
      run.tasks.erase(RunEntry::KeyOf(row.task));
    }
  }
  ledger.NoteGarbage(run);
  ledger.Changed(run);
  return absl::OkStatus();
}

// W_0 is made again, and what was trained from it.
absl::Status InitialiseAgain(Ledger& ledger, RunEntry& run)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  RunRow row = run.row;
  row.initial_weights_sha256.clear();
  row.weights_sha256.clear();
  if (row.state == RunState::kRunning) row.state = RunState::kPending;
  // W_0 made on another kind of CPU differs in its last bits: what was trained from the old one
  // goes.
  std::vector<TaskRow> tasks;
  for (const auto& [key, task] : run.tasks) {
    if (std::get<0>(key) == TaskKind::kTrain) tasks.push_back(task.row);
  }
  tasks.emplace_back().task = {row.run_id, TaskKind::kInitialise, 0, 0};
  const std::vector<LeaseRow> leases = ledger.leases.OfRun(row.run_id);
  for (const LeaseRow& lease : leases)
    DISTILLERY_RETURN_IF_ERROR(LoseLease(ledger, lease, LeaseOutcome::kCancelled));
  row.lost_leases = run.row.lost_leases;
  DISTILLERY_RETURN_IF_ERROR(RedoTasks(ledger, run, tasks));
  DISTILLERY_RETURN_IF_ERROR(ledger.record->Put(row));
  run.row = row;
  run.tasks.clear();
  run.MakeTasks();
  ledger.NoteGarbage(run);
  return absl::OkStatus();
}

// What to average again for weights that are damaged; nothing if W_0 is made again instead.
// DATA_LOSS if they cannot be made again.
absl::StatusOr<AverageRequest> PlanRebuild(Ledger& ledger, RunEntry& run)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  const int64_t round = run.row.completed_rounds;
  if (round == 0) {
    DISTILLERY_RETURN_IF_ERROR(InitialiseAgain(ledger, run));
    return AverageRequest();
  }
  if (run.FileRound(round) != round) {
    return absl::DataLossError("they are those of an earlier round, which the guard went back to");
  }
  if (static_cast<int64_t>(run.last_round.size()) != run.rounds.back().delta_count) {
    return absl::DataLossError("the deltas that they were made of are no longer kept");
  }
  return RequestAverage(*ledger.folder, run, round - 1, run.last_round);
}

// The run goes on with the weights that were rebuilt, or stands still if they were not.
absl::Status EndRebuild(Ledger& ledger, RunEntry& run, const absl::Status& rebuilt)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  run.averaging = false;
  if (Ended(run.row.state)) return absl::OkStatus();
  if (rebuilt.ok()) {
    run.damaged = false;
    ledger.statistics.Add(Count::kDigestRepairs, "weights");
    ledger.statistics.Note({"weights_repaired",
                            run.row.run_id,
                            {},
                            "",
                            absl::StrCat("those of round ", run.row.completed_rounds,
                                         " are as the record says again")});
    ledger.Changed(run);
    return Advance(ledger, run);
  }
  if (WaitsForDisk(ledger, run, rebuilt) || run.row.state == RunState::kPaused) return rebuilt;
  return Pause(ledger, run,
               absl::StrCat("the weights of round ", run.row.completed_rounds,
                            " are damaged and cannot be rebuilt: ", ReasonShown(ledger, rebuilt),
                            "; put the file back from a copy, then resume the run"));
}

// Makes the newest weights again, without the mutex: nothing else happens to a run that waits for
// this, but it may end. DATA_LOSS if they do not become what they were; CANCELLED if it has ended.
absl::Status AverageAgain(Ledger& ledger, const std::string& run_id,
                          const AverageRequest& request) {
  DISTILLERY_ASSIGN_OR_RETURN(const AverageResult average, AverageDeltas(request));
  if (average.damaged()) return absl::DataLossError("what they were made of is damaged too");
  int64_t round = -1;
  absl::Status unwanted = absl::CancelledError("the run has ended");
  {
    MutexLock lock(ledger.mutex());
    const auto run = ledger.runs.find(run_id);
    if (run != ledger.runs.end() && !Ended(run->second->row.state)) {
      if (average.weights_sha256 == run->second->row.weights_sha256) {
        round = run->second->row.completed_rounds - 1;
      } else {
        unwanted = absl::DataLossError("averaging again gives other bytes");
      }
    }
  }
  if (round < 0) {
    // Deleting the run may be removing its folders now.
    DropAverage(request);
    return unwanted;
  }
  return PublishAverage(*ledger.folder, request, run_id, round);
}

}  // namespace

void HandleDamage(Ledger& ledger, RunEntry& run, const AverageResult& average) {
  run.averaging = false;
  if (Ended(run.row.state)) return;
  if (average.weights_damaged) {
    QueueRebuild(ledger, run);
    return;
  }
  const std::vector<TaskRow> tasks = run.AveragedTasks();
  run.averaged.clear();
  std::vector<TaskRow> damaged;
  for (const int64_t replica : average.damaged_replicas) {
    damaged.push_back(tasks[static_cast<size_t>(replica)]);
    ledger.statistics.Add(Count::kDigestFailures, "delta");
    ledger.statistics.Note({"delta_damaged", run.row.run_id, damaged.back().task, "",
                            "the file is missing or its SHA-256 differs: the task is done again"});
  }
  const absl::Status redone = RedoTasks(ledger, run, damaged);
  if (redone.ok()) {
    ledger.statistics.Add(Count::kDigestRepairs, "delta", static_cast<int64_t>(damaged.size()));
    return;
  }
  LogError("run {}: {}", run.row.run_id, std::string(redone.message()));
  if (ledger.disk.full()) return;
  // Else the round would wait for nobody.
  if (const absl::Status paused = Pause(ledger, run, std::string(redone.message())); !paused.ok()) {
    LogError("run {}: {}", run.row.run_id, std::string(paused.message()));
  }
}

void RebuildWeights(Ledger& ledger, const std::string& run_id) {
  // The run, unless it has been deleted or has ended meanwhile.
  const auto find = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) -> RunEntry* {
    const auto found = ledger.runs.find(run_id);
    const bool gone = found == ledger.runs.end() || Ended(found->second->row.state);
    return gone ? nullptr : found->second.get();
  };
  std::vector<std::pair<std::string, std::string>> files;
  {
    MutexLock lock(ledger.mutex());
    const RunEntry* const run = find();
    if (run == nullptr) return;
    files = NewestFiles(*ledger.folder, *run);
  }
  // What is not damaged but cannot be read now is not rebuilt from other things: OK, DATA_LOSS or
  // wait.
  absl::Status status;
  for (const auto& [path, sha256] : files) {
    if (status.ok()) status = CheckFileSha256(path, sha256);
  }
  AverageRequest request;
  if (absl::IsDataLoss(status)) {
    status = ledger.Write([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) -> absl::Status {
      RunEntry* const run = find();
      if (run == nullptr) return absl::OkStatus();
      DISTILLERY_ASSIGN_OR_RETURN(request, PlanRebuild(ledger, *run));
      return absl::OkStatus();
    });
  }
  // The disk's outcome matters to all, also where the run is gone meanwhile.
  if (status.ok() && !request.deltas.empty()) {
    status = ledger.disk.Note(AverageAgain(ledger, run_id, request));
  }
  const absl::Status ended =
      ledger.Write([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) -> absl::Status {
        RunEntry* const run = find();
        return run == nullptr ? absl::OkStatus() : EndRebuild(ledger, *run, status);
      });
  if (!ended.ok()) LogError("run {}: {}", run_id, std::string(ended.message()));
}

void FollowDisk(Ledger& ledger) {
  const DiskWatch::Lack lack = ledger.disk.lack();
  // What came and went between two looks has left runs waiting all the same.
  const int64_t recoveries = ledger.disk.recoveries();
  if (lack == ledger.shown_lack && recoveries == ledger.seen_recoveries) return;
  ledger.shown_lack = lack;
  ledger.seen_recoveries = recoveries;
  if (lack == DiskWatch::Lack::kNothing) ledger.RetryGarbage();
  for (RunEntry* const run : ledger.run_order) {
    if (Ended(run->row.state)) continue;
    ledger.Changed(*run);
    if (lack != DiskWatch::Lack::kNothing) continue;
    if (const absl::Status status = Advance(ledger, *run); !status.ok()) {
      LogError("run {}: {}", run->row.run_id, std::string(status.message()));
    }
  }
}

}  // namespace distillery

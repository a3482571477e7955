// Coordinator: damaged files, a full disk, workers that send what cannot be; and its gauges.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/disk_errors.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "coordinator/coordinator.h"
#include "coordinator/state/file_check.h"

namespace distillery {

absl::Status Coordinator::PublishAverage(const AverageRequest& request, const std::string& run_id,
                                         int64_t round) {
  if (KeepsMomentum(request.outer_optimizer)) {
    DISTILLERY_RETURN_IF_ERROR(
        RenameDurably(request.momentum_output, folder_->Momentum(run_id, round + 1)));
  }
  if (KeepsVariance(request.outer_optimizer)) {
    DISTILLERY_RETURN_IF_ERROR(
        RenameDurably(request.variance_output, folder_->Variance(run_id, round + 1)));
  }
  // The weights last: a crash before leaves a round that is simply averaged again.
  DISTILLERY_FAILPOINT("coordinator.momentum.renamed");
  DISTILLERY_RETURN_IF_ERROR(
      RenameDurably(request.weights_output, folder_->Weights(run_id, round + 1)));
  DISTILLERY_FAILPOINT("coordinator.weights.renamed");
  return absl::OkStatus();
}

void Coordinator::HandleDamage(RunEntry& run, const AverageResult& average) {
  run.averaging = false;
  if (Ended(run.row.state)) return;
  if (average.weights_damaged) {
    QueueRebuild(run);
    return;
  }
  const std::vector<TaskRow> tasks = run.AveragedTasks();
  run.averaged.clear();
  std::vector<TaskRow> damaged;
  for (const int64_t replica : average.damaged_replicas) {
    damaged.push_back(tasks[static_cast<size_t>(replica)]);
    statistics_.Add(Count::kDigestFailures, "delta");
    statistics_.Note({"delta_damaged", run.row.run_id, damaged.back().task, "",
                      "the file is missing or its SHA-256 differs: the task is done again"});
  }
  const absl::Status redone = RedoTasks(run, damaged);
  if (redone.ok()) {
    statistics_.Add(Count::kDigestRepairs, "delta", static_cast<int64_t>(damaged.size()));
    return;
  }
  LogError("run {}: {}", run.row.run_id, std::string(redone.message()));
  if (disk_.full()) return;
  // Else the round would wait for nobody.
  if (const absl::Status paused = Pause(run, std::string(redone.message())); !paused.ok()) {
    LogError("run {}: {}", run.row.run_id, std::string(paused.message()));
  }
}

absl::Status Coordinator::RedoTasks(RunEntry& run, const std::vector<TaskRow>& tasks) {
  std::vector<TaskRow> redone;
  for (const TaskRow& task : tasks) {
    TaskRow row;
    row.task = task.task;
    row.failures = task.failures;
    row.failed_workers = task.failed_workers;
    redone.push_back(std::move(row));
  }
  DISTILLERY_RETURN_IF_ERROR(
      record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        for (const TaskRow& row : redone) DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
        return absl::OkStatus();
      }));
  for (const TaskRow& row : redone) {
    TaskEntry* const task = run.Find(row.task);
    if (task == nullptr) continue;
    task->row = row;
    // A late one is not begun again.
    if (row.task.kind == TaskKind::kTrain && row.task.round < run.row.completed_rounds) {
      run.tasks.erase(RunEntry::KeyOf(row.task));
    }
  }
  CollectGarbage(run);
  Changed(run);
  return absl::OkStatus();
}

std::vector<std::pair<std::string, std::string>> Coordinator::NewestFiles(const RunEntry& run) {
  std::vector<std::pair<std::string, std::string>> files;
  if (run.row.weights_sha256.empty()) return files;
  const std::string& run_id = run.row.run_id;
  const int64_t round = run.row.completed_rounds;
  files.emplace_back(folder_->Weights(run_id, run.FileRound(round)), run.row.weights_sha256);
  // After a roll-back the outer optimizer begins anew.
  if (round == 0 || run.FileRound(round) != round) return files;
  const RoundRow& last = run.rounds.back();
  if (!last.momentum_sha256.empty()) {
    files.emplace_back(folder_->Momentum(run_id, round), last.momentum_sha256);
  }
  if (!last.variance_sha256.empty()) {
    files.emplace_back(folder_->Variance(run_id, round), last.variance_sha256);
  }
  return files;
}

absl::Status Coordinator::NoteUnreadable(const WeightsFile& weights, const absl::Status& status) {
  (void)disk_.Note(status);
  if (weights.run_id.empty()) return status;
  const bool missing = absl::IsNotFound(status);
  if (!missing && !absl::IsDataLoss(status)) return status;
  const std::string what =
      absl::StrCat("run ", weights.run_id, ": weights of round ", weights.round);
  if (weights.sha256 != weights.weights_sha256) {
    return absl::UnavailableError(absl::StrCat(what, " are being encoded anew"));
  }
  MutexLock lock(mutex_);
  const auto found = runs_.find(weights.run_id);
  if (found == runs_.end()) return status;
  RunEntry& run = *found->second;
  const bool newest =
      weights.round == run.row.completed_rounds && weights.weights_sha256 == run.row.weights_sha256;
  if (newest && !Ended(run.row.state) && run.damage.empty()) {
    // A run that was damaged when it paused waits for a person.
    if (run.row.state == RunState::kPaused && run.damaged && !run.averaging) {
      return absl::DataLossError(absl::StrCat(what, " are damaged: ", run.row.state_reason));
    }
    QueueRebuild(run);
    return absl::UnavailableError(absl::StrCat(what, " are lost and being rebuilt"));
  }
  if (missing) return absl::NotFoundError(absl::StrCat(what, " are no longer kept"));
  return absl::DataLossError(
      absl::StrCat(what,
                   " are damaged: their SHA-256 differs from the record's; put the file back "
                   "from a copy of the state folder"));
}

bool Coordinator::WaitsForDisk(RunEntry& run, const absl::Status& status) {
  (void)disk_.Note(status);
  if (!disk_.full() && !IsOutOfDescriptors(status)) return false;
  run.averaging = false;
  Changed(run);
  return true;
}

void Coordinator::QueueRebuild(RunEntry& run) {
  if (!run.damaged) {
    run.damaged = true;
    statistics_.Add(Count::kDigestFailures, "weights");
    statistics_.Note({"weights_damaged",
                      run.row.run_id,
                      {},
                      "",
                      absl::StrCat("the file of round ", run.row.completed_rounds,
                                   " is missing or its SHA-256 differs")});
  }
  if (run.averaging) return;
  run.averaging = true;
  to_average_.push_back(run.row.run_id);
  Changed(run);
  wake_averager_.NotifyAll();
}

void Coordinator::RebuildWeights(const std::string& run_id) {
  std::vector<std::pair<std::string, std::string>> files;
  {
    MutexLock lock(mutex_);
    const auto found = runs_.find(run_id);
    if (found == runs_.end()) return;
    files = NewestFiles(*found->second);
  }
  // What is not damaged but cannot be read now is not rebuilt from other things: OK, DATA_LOSS or
  // wait.
  absl::Status sound;
  for (const auto& [path, sha256] : files) {
    if (sound.ok()) sound = CheckFileSha256(path, sha256);
  }
  AverageRequest request;
  int64_t round = 0;
  absl::Status status = absl::IsDataLoss(sound) ? absl::OkStatus() : sound;
  if (absl::IsDataLoss(sound)) {
    const RecordLock lock(this);
    const auto found = runs_.find(run_id);
    if (found == runs_.end()) return;
    RunEntry& run = *found->second;
    if (Ended(run.row.state)) return;
    round = run.row.completed_rounds;
    if (round == 0) {
      status = InitialiseAgain(run);
    } else if (run.FileRound(round) != round) {
      status =
          absl::DataLossError("they are those of an earlier round, which the guard went back to");
    } else if (static_cast<int64_t>(run.last_round.size()) == run.rounds.back().delta_count) {
      request = RequestAverage(run, round - 1, run.last_round);
    } else {
      status = absl::DataLossError("the deltas that they were made of are no longer kept");
    }
  }
  absl::StatusOr<AverageResult> average = AverageResult();
  if (!request.deltas.empty()) {
    average = AverageDeltas(request);
    status = average.status();
    if (status.ok() && average->damaged()) {
      status = absl::DataLossError("what they were made of is damaged too");
    }
  }

  const RecordLock lock(this);
  const auto found = runs_.find(run_id);
  if (found == runs_.end()) return;
  RunEntry& run = *found->second;
  run.averaging = false;
  if (Ended(run.row.state)) return;
  if (status.ok() && !request.deltas.empty()) {
    if (average->weights_sha256 != run.row.weights_sha256) {
      status = absl::DataLossError("averaging again gives other bytes");
    } else {
      status = PublishAverage(request, run_id, round - 1);
    }
  }
  if (status.ok()) {
    run.damaged = false;
    statistics_.Add(Count::kDigestRepairs, "weights");
    statistics_.Note({"weights_repaired",
                      run_id,
                      {},
                      "",
                      absl::StrCat("those of round ", run.row.completed_rounds,
                                   " are as the record says again")});
    Changed(run);
    status = Advance(run);
  } else if (!WaitsForDisk(run, status) && run.row.state != RunState::kPaused) {
    status = Pause(
        run, absl::StrCat(
                 "the weights of round ", run.row.completed_rounds,
                 " are damaged and cannot be rebuilt: ",
                 absl::StrReplaceAll(status.message(), {{options_.state_dir, "the state folder"}}),
                 "; put the file back from a copy, then resume the run"));
  }
  if (!status.ok()) LogError("run {}: {}", run_id, std::string(status.message()));
}

absl::Status Coordinator::InitialiseAgain(RunEntry& run) {
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
  const std::vector<LeaseRow> leases = leases_.OfRun(row.run_id);
  for (const LeaseRow& lease : leases) DISTILLERY_RETURN_IF_ERROR(LoseLease(lease, "cancelled"));
  row.lost_leases = run.row.lost_leases;
  DISTILLERY_RETURN_IF_ERROR(RedoTasks(run, tasks));
  DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
  run.row = row;
  run.tasks.clear();
  run.MakeTasks();
  CollectGarbage(run);
  return absl::OkStatus();
}

void Coordinator::FollowDisk() {
  const DiskWatch::Lack lack = disk_.lack();
  // What came and went between two looks has left runs waiting all the same.
  const int64_t recoveries = disk_.recoveries();
  if (lack == shown_lack_ && recoveries == seen_recoveries_) return;
  shown_lack_ = lack;
  seen_recoveries_ = recoveries;
  for (RunEntry* const run : run_order_) {
    if (Ended(run->row.state)) continue;
    Changed(*run);
    if (lack != DiskWatch::Lack::kNothing) continue;
    if (const absl::Status status = Advance(*run); !status.ok()) {
      LogError("run {}: {}", run->row.run_id, std::string(status.message()));
    }
  }
}

void Coordinator::NoteBadResult(const Lease& lease, const std::string& reason,
                                const absl::Status& status) {
  MutexLock lock(mutex_);
  statistics_.Add(Count::kRejectedDeltas, reason);
  statistics_.Note({"delta_rejected", lease.task.run_id, lease.task, lease.worker_id,
                    std::string(status.message())});
  if (!CheckLease(lease).ok()) return;
  statistics_.Add(Count::kStrikes);
  if (!strikes_.Strike(lease.worker_id, Now())) return;
  statistics_.Add(Count::kWorkersSetAside);
  statistics_.Note(
      {"worker_set_aside",
       "",
       {},
       lease.worker_id,
       absl::StrCat(StrikeBook::kMost,
                    " results in a row were none: it gets no task "
                    "for ",
                    absl::FormatDuration(StrikeBook::kRest), ", or until it is started again")});
}

Gauges Coordinator::gauges() {
  Gauges gauges;
  if (const auto free = FreeBytes(options_.state_dir); free.ok()) gauges.free_bytes = *free;
  gauges.disk_full = disk_.full();
  MutexLock lock(mutex_);
  for (const RunEntry* const run : run_order_) {
    ++gauges.runs[run->row.state];
    if (Ended(run->row.state)) continue;
    for (const auto& [key, task] : run->tasks) {
      const TaskState state = task.row.done ? TaskState::kDone
                              : task.free() ? TaskState::kFree
                                            : TaskState::kLeased;
      ++gauges.tasks[{std::get<0>(key), state}];
      gauges.active_leases += static_cast<int64_t>(task.tokens.size());
    }
  }
  gauges.known_workers = static_cast<int64_t>(workers_.size());
  gauges.live_workers = CountLiveWorkers();
  gauges.waiting_workers = static_cast<int64_t>(waiters_.size());
  gauges.watchers = std::count_if(listeners_.begin(), listeners_.end(),
                                  [](const auto& entry) { return !entry.second.expired(); });
  return gauges;
}

}  // namespace distillery

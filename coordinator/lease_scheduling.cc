#include "coordinator/lease_scheduling.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/run/task_log_fields.h"
#include "coordinator/lease_ending.h"

namespace distillery {
namespace {

// What a task is taken to need before one of its run has been done.
constexpr absl::Duration kUnknownTaskTime = absl::Seconds(1);

// Whether the worker's memory, if it is known, can hold what the task computes.
bool HasMemory(const RunEntry& run, const TaskEntry& task, const WorkerEntry& worker) {
  return task.row.task.kind != TaskKind::kTrain || worker.row.memory_bytes == 0 ||
         run.TrainingBytes() <= worker.row.memory_bytes;
}

// May the worker do this run's tasks? Sets *wanted if it would have to be started differently.
bool Fits(const RunEntry& run, const WorkerEntry& worker, std::string* wanted) {
  if (worker.row.numerics != run.spec.numerics) {
    *wanted = run.spec.numerics;
    return false;
  }
  const std::string& bound = run.row.numerics_fingerprint;
  return !run.spec.exact || bound.empty() || bound == worker.row.numerics_fingerprint;
}

// Whether the worker gets no task for now, because of results that it sent or owed.
bool Rests(Ledger& ledger, const WorkerEntry& worker)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  return ledger.Now() < worker.pace.rests_until() ||
         ledger.strikes.Rests(worker.row.worker_id, ledger.Now());
}

// The task of the run that this worker should do next, or null.
TaskEntry* TaskFor(Ledger& ledger, RunEntry& run, const WorkerEntry& worker)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  const std::string& worker_id = worker.row.worker_id;
  return run.NextFree([&](const TaskEntry& task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
    // What failed here is better tried elsewhere, if there is somebody who has not failed at it.
    return HasMemory(run, task, worker) &&
           (!task.FailedOn(worker_id) || task.failed_worker_count() >= ledger.CountLiveWorkers());
  });
}

// The training task that is worth being done by this worker as well, or null.
TaskEntry* StragglerFor(Ledger& ledger, RunEntry& run, const WorkerEntry& worker)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  const absl::Duration limit = run.BackupAfter();
  if (ledger.leases.OldestOfRun(run.row.run_id, ledger.Now()) < limit) return nullptr;
  TaskEntry* slowest = nullptr;
  absl::Duration longest = limit;
  for (auto& [key, task] : run.tasks) {
    if (std::get<0>(key) != TaskKind::kTrain || std::get<1>(key) != run.row.completed_rounds ||
        task.row.done || task.tokens.size() != 1 || task.FailedOn(worker.row.worker_id) ||
        !HasMemory(run, task, worker)) {
      continue;
    }
    const absl::Duration age = ledger.leases.Age(task.tokens.front(), ledger.Now());
    if (age < longest) continue;
    longest = age;
    slowest = &task;
  }
  return slowest;
}

// What this worker may do, or do as well, a task of each run that has one: the run whose turn it is
// first.
std::vector<std::pair<RunEntry*, TaskEntry*>> TasksByTurn(Ledger& ledger, const WorkerEntry& worker,
                                                          bool backup)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  struct Candidate {
    double share = 0;
    RunEntry* run = nullptr;
    TaskEntry* task = nullptr;
  };
  std::vector<Candidate> candidates;
  for (RunEntry* const run : ledger.run_order) {
    if (Ended(run->row.state) || run->row.state == RunState::kPaused || run->damaged ||
        !run->blocked_by.empty()) {
      continue;
    }
    // Few runs of many have one: their shares alone are looked at.
    TaskEntry* const task =
        backup ? StragglerFor(ledger, *run, worker) : TaskFor(ledger, *run, worker);
    if (task == nullptr) continue;
    const absl::Duration in_flight = ledger.leases.AgesOfRun(
        run->row.run_id, run->pace.MedianTaskTime().value_or(kUnknownTaskTime), ledger.Now());
    candidates.push_back({ledger.share.SharedSeconds(run->row.run_id, in_flight), run, task});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.share < b.share; });
  std::vector<std::pair<RunEntry*, TaskEntry*>> tasks;
  tasks.reserve(candidates.size());
  for (const Candidate& candidate : candidates) tasks.emplace_back(candidate.run, candidate.task);
  return tasks;
}

TaskGrant Describe(const RunEntry& run, const Lease& lease) {
  TaskGrant grant;
  grant.lease = lease;
  grant.spec = run.spec;
  if (lease.task.kind != TaskKind::kInitialise) {
    grant.weights_sha256 = run.WeightsSha256(lease.task.round);
    grant.model_card_sha256 = run.card_sha256;
  }
  grant.expected_teacher_digest = run.row.teacher_digest;
  grant.expected_dataset_digest = run.row.dataset_digest;
  return grant;
}

absl::StatusOr<TaskGrant> Grant(Ledger& ledger, RunEntry& run, TaskEntry& task,
                                const WorkerEntry& worker, const std::string& request_id)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  LeaseRow row;
  row.lease = {task.row.task, ledger.leases.NextToken(), worker.row.worker_id};
  row.request_id = request_id;
  row.granted_unix_millis = ledger.WallMillis();
  RunRow run_row = run.row;
  if (task.row.task.kind == TaskKind::kTrain) {
    if (run_row.numerics_fingerprint.empty()) {
      run_row.numerics_fingerprint = worker.row.numerics_fingerprint;
    } else if (run_row.numerics_fingerprint != worker.row.numerics_fingerprint) {
      if (!run_row.inexact) {
        LogWarning("run {} is inexact from here: {} computes with \"{}\", others with \"{}\"",
                   run_row.run_id, worker.row.name, worker.row.numerics_fingerprint,
                   run_row.numerics_fingerprint);
      }
      run_row.inexact = true;
    }
  }
  DISTILLERY_RETURN_IF_ERROR(ledger.record->PutAll(row, run_row));
  DISTILLERY_FAILPOINT("coordinator.lease.granted");
  run.row = run_row;
  task.tokens.push_back(row.lease.fencing_token);
  ledger.leases.Add(row, ledger.Now());
  ledger.statistics.Add(Count::kLeasesGranted, std::string(TaskKindName(task.row.task.kind)));
  if (run.spec.training.rounds > 0 && run.rounds.empty()) run.pace.NoteSamples(0, ledger.Now());
  ledger.Changed(run);
  return Describe(run, row.lease);
}

}  // namespace

absl::StatusOr<LeaseAnswer> TryLease(Ledger& ledger, const std::string& request_id,
                                     const std::string& worker_id) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_RETURN_IF_ERROR(CheckName("worker_id", worker_id, 128));
  WorkerEntry* const found = ledger.workers.Find(worker_id);
  if (found == nullptr) return absl::NotFoundError("worker_id is not known: register again");
  ledger.workers.Touch(found, ledger.Now());
  const WorkerEntry& worker = *found;
  LeaseAnswer answer;
  if (ledger.disk.full()) return answer;
  if (const LeaseRow* const held = ledger.leases.FindByWorker(worker_id)) {
    if (held->request_id == request_id) {
      // The answer was lost on its way: the same lease again.
      answer.grant = Describe(*ledger.runs.at(held->lease.task.run_id), held->lease);
      return answer;
    }
    DISTILLERY_RETURN_IF_ERROR(LoseLease(ledger, LeaseRow(*held), LeaseOutcome::kAbandoned));
  }
  if (Rests(ledger, worker)) return answer;
  for (const bool backup : {false, true}) {
    for (const auto& [run, task] : TasksByTurn(ledger, worker, backup)) {
      std::string wanted;
      if (!Fits(*run, worker, backup ? &wanted : &answer.wanted_numerics)) continue;
      if (backup) {
        const LogFields about(TaskLogFields(task->row.task));
        LogInfo("{} takes long: {} does it as well", task->row.task.ToString(), worker.row.name);
      }
      DISTILLERY_ASSIGN_OR_RETURN(answer.grant, Grant(ledger, *run, *task, worker, request_id));
      if (backup) ledger.statistics.Add(Count::kBackupLeases);
      answer.wanted_numerics.clear();
      return answer;
    }
  }
  return answer;
}

std::vector<OfferedTask> OfferTasks(Ledger& ledger) {
  ledger.offered = ledger.Now();
  // Where one found nothing, others that are started alike need not look, unless a task that failed
  // on one may be done by another.
  const bool any_failed =
      !ledger.waiters.empty() &&
      std::any_of(ledger.run_order.begin(), ledger.run_order.end(), [](const RunEntry* run) {
        return std::any_of(run->tasks.begin(), run->tasks.end(),
                           [](const auto& task) { return task.second.row.failures > 0; });
      });
  std::vector<OfferedTask> offered;
  std::set<std::pair<std::string, std::string>> idle;
  for (auto waiter = ledger.waiters.begin(); waiter != ledger.waiters.end();) {
    const bool over = ledger.Now() >= waiter->deadline;
    const WorkerEntry* const worker = ledger.workers.Find(waiter->worker_id);
    const auto kind = worker == nullptr ? std::pair<std::string, std::string>()
                                        : std::pair(worker->row.numerics,
                                                    absl::StrCat(worker->row.numerics_fingerprint,
                                                                 " ", worker->row.memory_bytes));
    // A call that has waited since before its worker got a task does not ask for another: only a
    // later one gives the task up.
    const LeaseRow* const held = ledger.leases.FindByWorker(waiter->worker_id);
    const bool has_task = held != nullptr && held->request_id != waiter->request_id;
    if (!over && (has_task || idle.count(kind) > 0)) {
      ++waiter;
      continue;
    }
    absl::StatusOr<LeaseAnswer> answer =
        has_task ? LeaseAnswer{} : TryLease(ledger, waiter->request_id, waiter->worker_id);
    if (answer.ok() && answer->empty() && !over) {
      if (!any_failed && !(worker != nullptr && Rests(ledger, *worker))) idle.insert(kind);
      ++waiter;
      continue;
    }
    offered.push_back({std::move(*waiter), std::move(answer)});
    waiter = ledger.waiters.erase(waiter);
  }
  return offered;
}

absl::Duration NextWake(Ledger& ledger) {
  absl::Duration next = ledger.leases.NextDeadline();
  for (const LeaseWaiter& waiter : ledger.waiters) {
    next = std::min(next, waiter.deadline);
    const WorkerEntry* const worker = ledger.workers.Find(waiter.worker_id);
    if (worker == nullptr) continue;
    // One that is over already is still to be acted on: the timer wakes a little late.
    const absl::Duration rested = worker->pace.rests_until();
    if (rested > ledger.offered) next = std::min(next, rested);
  }
  for (const std::string& run_id : ledger.changed) {
    const auto run = ledger.runs.find(run_id);
    if (run != ledger.runs.end()) next = std::min(next, run->second->TellAfter());
  }
  for (const RunEntry* const run : ledger.run_order) {
    if (Ended(run->row.state) || run->row.state == RunState::kPaused) continue;
    next = std::min(next, run->advance_after);
    if (!run->averaging) next = std::min(next, run->QuorumDeadline());
    const absl::Duration backup_after = run->BackupAfter();
    if (ledger.waiters.empty() || backup_after == absl::InfiniteDuration()) continue;
    const absl::Duration oldest = ledger.leases.OldestOfRun(run->row.run_id, ledger.Now());
    if (oldest < backup_after) {
      // No other lease is due before.
      next = std::min(next, ledger.Now() - oldest + backup_after);
      continue;
    }
    for (const auto& [key, task] : run->tasks) {
      if (std::get<0>(key) != TaskKind::kTrain || task.row.done || task.tokens.size() != 1)
        continue;
      const absl::Duration due =
          ledger.Now() - ledger.leases.Age(task.tokens.front(), ledger.Now()) + backup_after;
      // One that was due before was offered to whoever waits.
      if (due > ledger.offered) next = std::min(next, due);
    }
  }
  return next;
}

}  // namespace distillery

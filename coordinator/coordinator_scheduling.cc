// Coordinator: whose turn it is, backups of stragglers, dependencies between runs, the guard.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/run/task_log_fields.h"
#include "coordinator/coordinator.h"

namespace distillery {
namespace {

// What a task is taken to need before one of its run has been done.
constexpr absl::Duration kUnknownTaskTime = absl::Seconds(1);
constexpr absl::Duration kAdvanceAgainAfter = absl::Seconds(2);
constexpr absl::Duration kTellEvery = absl::Milliseconds(100);

}  // namespace

absl::StatusOr<LeaseAnswer> Coordinator::TryLease(const std::string& request_id,
                                                  const std::string& worker_id) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_RETURN_IF_ERROR(CheckName("worker_id", worker_id, 128));
  WorkerEntry* const found = workers_.Find(worker_id);
  if (found == nullptr) return absl::NotFoundError("worker_id is not known: register again");
  workers_.Touch(found, Now());
  const WorkerEntry& worker = *found;
  LeaseAnswer answer;
  if (disk_.full()) return answer;
  if (const LeaseRow* const held = leases_.FindByWorker(worker_id)) {
    if (held->request_id == request_id) {
      // The answer was lost on its way: the same lease again.
      answer.grant = Describe(*runs_.at(held->lease.task.run_id), held->lease);
      return answer;
    }
    DISTILLERY_RETURN_IF_ERROR(LoseLease(LeaseRow(*held), "abandoned"));
  }
  if (Rests(worker)) return answer;
  for (const bool backup : {false, true}) {
    for (const auto& [run, task] : TasksByTurn(worker, backup)) {
      std::string wanted;
      if (!Fits(*run, worker, backup ? &wanted : &answer.wanted_numerics)) continue;
      if (backup) {
        const LogFields about(TaskLogFields(task->row.task));
        LogInfo("{} takes long: {} does it as well", task->row.task.ToString(), worker.row.name);
      }
      DISTILLERY_ASSIGN_OR_RETURN(answer.grant, Grant(*run, *task, worker, request_id));
      if (backup) statistics_.Add(Count::kBackupLeases);
      answer.wanted_numerics.clear();
      return answer;
    }
  }
  return answer;
}

std::vector<std::pair<RunEntry*, TaskEntry*>> Coordinator::TasksByTurn(const WorkerEntry& worker,
                                                                       bool backup) {
  struct Candidate {
    double share = 0;
    RunEntry* run = nullptr;
    TaskEntry* task = nullptr;
  };
  std::vector<Candidate> candidates;
  for (RunEntry* const run : run_order_) {
    if (Ended(run->row.state) || run->row.state == RunState::kPaused || run->damaged ||
        !run->blocked_by.empty()) {
      continue;
    }
    // Of many runs few have one: their shares alone are looked at.
    TaskEntry* const task = backup ? StragglerFor(*run, worker) : TaskFor(*run, worker);
    if (task == nullptr) continue;
    const absl::Duration in_flight =
        leases_.AgesOfRun(run->row.run_id, run->MedianTaskTime().value_or(kUnknownTaskTime), Now());
    candidates.push_back({share_.SharedSeconds(run->row.run_id, in_flight), run, task});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.share < b.share; });
  std::vector<std::pair<RunEntry*, TaskEntry*>> tasks;
  tasks.reserve(candidates.size());
  for (const Candidate& candidate : candidates) tasks.emplace_back(candidate.run, candidate.task);
  return tasks;
}

TaskEntry* Coordinator::TaskFor(RunEntry& run, const WorkerEntry& worker) {
  const std::string& worker_id = worker.row.worker_id;
  return run.NextFree([&](const TaskEntry& task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    // What failed here is better tried elsewhere, if there is somebody who has not failed at it.
    return HasMemory(run, task, worker) &&
           (!task.FailedOn(worker_id) || task.failed_worker_count() >= CountLiveWorkers());
  });
}

TaskEntry* Coordinator::StragglerFor(RunEntry& run, const WorkerEntry& worker) {
  const absl::Duration limit = run.BackupAfter();
  if (leases_.OldestOfRun(run.row.run_id, Now()) < limit) return nullptr;
  TaskEntry* slowest = nullptr;
  absl::Duration longest = limit;
  for (auto& [key, task] : run.tasks) {
    if (std::get<0>(key) != TaskKind::kTrain || std::get<1>(key) != run.row.completed_rounds ||
        task.row.done || task.tokens.size() != 1 || task.FailedOn(worker.row.worker_id) ||
        !HasMemory(run, task, worker)) {
      continue;
    }
    const absl::Duration age = leases_.Age(task.tokens.front(), Now());
    if (age < longest) continue;
    longest = age;
    slowest = &task;
  }
  return slowest;
}

absl::Duration Coordinator::NextWake() {
  absl::Duration next = leases_.NextDeadline();
  for (const Waiter& waiter : waiters_) {
    next = std::min(next, waiter.deadline);
    const WorkerEntry* const worker = workers_.Find(waiter.worker_id);
    if (worker == nullptr) continue;
    // One that is over already is still to be acted on: the timer wakes a little late.
    const absl::Duration rested = worker->pace.rests_until();
    if (rested > offered_) next = std::min(next, rested);
  }
  for (const std::string& run_id : changed_) {
    const auto run = runs_.find(run_id);
    if (run != runs_.end()) next = std::min(next, TellAfter(*run->second));
  }
  for (const RunEntry* const run : run_order_) {
    if (Ended(run->row.state) || run->row.state == RunState::kPaused) continue;
    next = std::min(next, run->advance_after);
    if (!run->averaging) next = std::min(next, run->QuorumDeadline());
    const absl::Duration backup_after = run->BackupAfter();
    if (waiters_.empty() || backup_after == absl::InfiniteDuration()) continue;
    const absl::Duration oldest = leases_.OldestOfRun(run->row.run_id, Now());
    if (oldest < backup_after) {
      // No other lease is due before.
      next = std::min(next, Now() - oldest + backup_after);
      continue;
    }
    for (const auto& [key, task] : run->tasks) {
      if (std::get<0>(key) != TaskKind::kTrain || task.row.done || task.tokens.size() != 1)
        continue;
      const absl::Duration due = Now() - leases_.Age(task.tokens.front(), Now()) + backup_after;
      // One that was due before was offered to whoever waits.
      if (due > offered_) next = std::min(next, due);
    }
  }
  return next;
}

void Coordinator::AdvanceOverdueRuns() {
  for (RunEntry* const run : run_order_) {
    if (Ended(run->row.state) || run->row.state == RunState::kPaused) continue;
    const bool quorum_over = !run->averaging && run->QuorumDeadline() <= Now();
    if (!quorum_over && run->advance_after > Now()) continue;
    run->advance_after = absl::InfiniteDuration();
    const absl::Status advanced = Advance(*run);
    if (advanced.ok()) continue;
    LogError("run {}: {}", run->row.run_id, std::string(advanced.message()));
    run->advance_after = Now() + kAdvanceAgainAfter;
  }
}

absl::Duration Coordinator::TellAfter(const RunEntry& run) {
  // Whoever watches sees each end at once, and of a busy run no more than a person can.
  const bool still = Ended(run.row.state) || run.row.state == RunState::kPaused;
  return still ? -absl::InfiniteDuration() : run.told + kTellEvery;
}

bool Coordinator::Rests(const WorkerEntry& worker) {
  return Now() < worker.pace.rests_until() || strikes_.Rests(worker.row.worker_id, Now());
}

bool Coordinator::Alive(const WorkerEntry& worker) { return worker.last_seen >= AliveSince(); }

int64_t Coordinator::CountLiveWorkers() { return workers_.CountHeardSince(AliveSince()); }

absl::Status Coordinator::ForgetWorkers(size_t more) {
  const size_t most = WorkerBook::kMost - more;
  if (workers_.size() <= most) return absl::OkStatus();
  if (Alive(workers_.MostSilent())) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the coordinator has ", workers_.size(),
                     " workers, all of them alive, and remembers no more: try again later"));
  }
  std::vector<std::string> forgotten;
  while (workers_.size() > most && !Alive(workers_.MostSilent())) {
    forgotten.push_back(workers_.MostSilent().row.worker_id);
    workers_.Remove(forgotten.back());
    strikes_.Forgive(forgotten.back());
  }
  return record_->ForgetWorkers(forgotten);
}

std::string Coordinator::PlaceOf(const WorkerRow& worker) {
  // Names hold no space, which is before all that they hold.
  return absl::StrCat(worker.name, " ", worker.worker_id);
}

std::vector<WorkerView> Coordinator::ListWorkers(const std::string& after, int64_t limit) {
  constexpr int kRememberedFor = 10;
  MutexLock lock(mutex_);
  std::map<std::string, const WorkerEntry*> by_place;
  for (const WorkerEntry* const worker :
       workers_.HeardSince(Now() - kRememberedFor * options_.lease_duration)) {
    by_place.emplace(PlaceOf(worker->row), worker);
  }
  std::vector<WorkerView> views;
  for (auto entry = by_place.upper_bound(after); entry != by_place.end(); ++entry) {
    if (static_cast<int64_t>(views.size()) == limit) break;
    const WorkerEntry& worker = *entry->second;
    const std::string& id = worker.row.worker_id;
    WorkerView view;
    view.silent = Now() - worker.last_seen;
    view.gone = !Alive(worker);
    view.row = worker.row;
    view.done_tasks = worker.done_tasks;
    view.lost_leases = worker.lost_leases;
    if (const LeaseRow* const lease = leases_.FindByWorker(id); lease != nullptr) {
      view.lease = lease->lease;
      view.held = leases_.Age(lease->lease.fencing_token, Now());
      view.sample_count = leases_.SampleCount(lease->lease.fencing_token);
    }
    views.push_back(std::move(view));
  }
  return views;
}

bool Coordinator::Fits(const RunEntry& run, const WorkerEntry& worker, std::string* wanted) {
  if (worker.row.numerics != run.spec.numerics) {
    *wanted = run.spec.numerics;
    return false;
  }
  const std::string& bound = run.row.numerics_fingerprint;
  return !run.spec.exact || bound.empty() || bound == worker.row.numerics_fingerprint;
}

absl::Status Coordinator::ResolveDependencies(RunSpec* spec) {
  for (std::string& name : spec->scheduling.depends_on) {
    if (runs_.count(name) > 0) continue;
    const auto newest = std::find_if(run_order_.rbegin(), run_order_.rend(),
                                     [&](const RunEntry* run) { return run->spec.name == name; });
    if (newest == run_order_.rend()) {
      return absl::FailedPreconditionError(
          absl::StrCat("scheduling.depends_on: no run has the id or the name \"", name, "\""));
    }
    name = (*newest)->row.run_id;
  }
  return absl::OkStatus();
}

absl::Status Coordinator::CheckDependencies(RunEntry& run) {
  run.blocked_by.clear();
  for (const std::string& id : run.spec.scheduling.depends_on) {
    const auto found = runs_.find(id);
    // One that succeeded may have been deleted since: none that has not can be.
    if (found == runs_.end() || found->second->row.state == RunState::kSucceeded) continue;
    if (Ended(found->second->row.state)) {
      return absl::FailedPreconditionError(
          absl::StrCat("run ", id, ", which this one depends on, has not succeeded"));
    }
    if (run.blocked_by.empty()) run.blocked_by = id;
  }
  return absl::OkStatus();
}

absl::Status Coordinator::UpdateDependents(const std::string& ended) {
  for (RunEntry* const run : run_order_) {
    const auto& names = run->spec.scheduling.depends_on;
    if (Ended(run->row.state) || !run->damage.empty() ||
        std::find(names.begin(), names.end(), ended) == names.end()) {
      continue;
    }
    const absl::Status standing = CheckDependencies(*run);
    if (!standing.ok()) {
      DISTILLERY_RETURN_IF_ERROR(EndRun(*run, RunState::kFailed, std::string(standing.message())));
    }
    Changed(*run);
  }
  return absl::OkStatus();
}

absl::Status Coordinator::ObeyGuard(RunEntry& run) {
  using Action = GuardVerdict::Action;
  const GuardVerdict verdict = run.Judge();
  const bool done = run.row.completed_rounds == run.spec.training.rounds;
  if (verdict.best_round == 0 && verdict.action == Action::kGoOn) return absl::OkStatus();
  const bool best_wanted = done || verdict.action != Action::kGoOn;
  if (best_wanted && verdict.best_round > 0) {
    DISTILLERY_RETURN_IF_ERROR(RollBack(run, verdict.best_round));
  }
  if (verdict.action == Action::kStop) return EndRun(run, RunState::kSucceeded, verdict.reason);
  if (verdict.action == Action::kFail) return EndRun(run, RunState::kFailed, verdict.reason);
  return absl::OkStatus();
}

absl::Status Coordinator::RollBack(RunEntry& run, int64_t best_round) {
  const int64_t present = run.row.completed_rounds;
  if (run.FileRound(present) == best_round) return absl::OkStatus();
  RoundRow round = run.rounds.back();
  round.rolled_back_to = best_round;
  RunRow row = run.row;
  row.weights_sha256 = run.WeightsSha256(best_round);
  DISTILLERY_RETURN_IF_ERROR(
      record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        DISTILLERY_RETURN_IF_ERROR(record_->Put(round));
        return record_->Put(row);
      }));
  run.rounds.back() = round;
  run.row = row;
  LogInfo("run {}: the best weights, of round {}, take the place of round {}'s", row.run_id,
          best_round, present);
  CollectGarbage(run);
  Changed(run);
  return absl::OkStatus();
}

absl::Status Coordinator::RaiseNondeterminismAlarm(RunEntry& run, const Lease& lease) {
  const std::string reason = absl::StrCat(
      lease.task.ToString(), ": ", lease.worker_id,
      " computed other weights than the worker whose result was taken: equal bits are no longer "
      "promised; compare the workers' hardware and versions");
  statistics_.Add(Count::kNondeterminismAlarms);
  statistics_.Note({"nondeterminism", lease.task.run_id, lease.task, lease.worker_id, reason});
  RunRow row = run.row;
  ++row.nondeterminism_alarms;
  row.inexact = true;
  DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
  run.row = row;
  Changed(run);
  return run.spec.exact && !Ended(row.state) && row.state != RunState::kPaused ? Pause(run, reason)
                                                                               : absl::OkStatus();
}

absl::Status Coordinator::DeleteRun(const std::string& run_id) {
  DISTILLERY_RETURN_IF_ERROR(ForgetRun(run_id));
  // The record that no longer needs them is on disk. A process that ends here removes them at its
  // next start.
  if (const absl::Status removed = folder_->RemoveRun(run_id); !removed.ok()) {
    LogWarning("{}; the next start tries again", std::string(removed.message()));
    return absl::OkStatus();
  }
  MutexLock lock(mutex_);
  return record_->FilesAreGone(run_id);
}

absl::Status Coordinator::ForgetRun(const std::string& run_id) {
  const RecordLock lock(this);
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(run_id));
  if (!Ended(run->row.state)) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", run_id, " has not ended: cancel it first"));
  }
  for (const RunEntry* const other : run_order_) {
    const auto& names = other->spec.scheduling.depends_on;
    if (!Ended(other->row.state) && std::find(names.begin(), names.end(), run_id) != names.end()) {
      return absl::FailedPreconditionError(
          absl::StrCat("run ", other->row.run_id, " depends on run ", run_id));
    }
  }
  DISTILLERY_RETURN_IF_ERROR(record_->DeleteRun(run_id));
  run_order_.erase(std::remove(run_order_.begin(), run_order_.end(), run), run_order_.end());
  to_average_.remove(run_id);
  runs_.erase(run_id);
  changed_.insert(run_id);
  Wake();
  LogInfo("run {} is deleted", run_id);
  return absl::OkStatus();
}

}  // namespace distillery

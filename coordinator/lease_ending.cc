#include "coordinator/lease_ending.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "coordinator/run_course.h"

namespace distillery {

absl::StatusOr<LeaseRow> CheckLease(Ledger& ledger, const Lease& lease) {
  const LeaseRow* const row = ledger.leases.Find(lease.fencing_token);
  if (row == nullptr || !(row->lease.task == lease.task)) {
    return absl::AbortedError(absl::StrCat("lease ", lease.fencing_token, " on ",
                                           lease.task.ToString(), " has ended: drop the task"));
  }
  if (row->lease.worker_id != lease.worker_id) {
    return absl::PermissionDeniedError(
        absl::StrCat("lease ", lease.fencing_token, " is another worker's"));
  }
  return *row;
}

LeaseRow EndLease(Ledger& ledger, const LeaseRow& row, LeaseOutcome outcome) {
  LeaseRow ended = ledger.EndedRow(row, outcome);
  if (ledger.leases.Find(row.lease.fencing_token) != nullptr) {
    ledger.share.Charge(row.lease.task.run_id,
                        ledger.leases.Age(row.lease.fencing_token, ledger.Now()));
  }
  ledger.leases.Remove(row.lease.fencing_token);
  ledger.statistics.Add(Count::kLeasesEnded, std::string(SpecOf(outcome).name));
  if (WorkerEntry* const worker = ledger.workers.Find(row.lease.worker_id)) {
    worker->pace.NoteEnd(outcome, ledger.Now());
    if (outcome == LeaseOutcome::kDone) ++worker->done_tasks;
    if (SpecOf(outcome).lost) ++worker->lost_leases;
  }
  const auto run = ledger.runs.find(row.lease.task.run_id);
  if (run != ledger.runs.end()) {
    TaskEntry* const task = run->second->Find(row.lease.task);
    if (task != nullptr) {
      auto& tokens = task->tokens;
      tokens.erase(std::remove(tokens.begin(), tokens.end(), row.lease.fencing_token),
                   tokens.end());
    }
    ledger.Changed(*run->second);
  }
  return ended;
}

absl::Status NoteFailure(Ledger& ledger, const Lease& lease, const std::string& why) {
  constexpr size_t kLongestReason = 1000;
  RunEntry& run = *ledger.runs.at(lease.task.run_id);
  const TaskEntry& task = *run.Find(lease.task);
  const std::string reason =
      absl::StrCat(lease.task.ToString(), " failed: ", CutText(PlainText(why), kLongestReason));
  ledger.statistics.Note({"task_failed", lease.task.run_id, lease.task, lease.worker_id,
                          absl::StrCat(reason, " (failure ", task.row.failures, ")")});
  const int64_t needed =
      std::min(ledger.options.max_task_failures, std::max<int64_t>(1, ledger.CountLiveWorkers()));
  return task.row.failures >= ledger.options.max_task_failures &&
                 task.failed_worker_count() >= needed
             ? Pause(ledger, run, reason)
             : absl::OkStatus();
}

absl::Status LoseLease(Ledger& ledger, const LeaseRow& row, LeaseOutcome outcome) {
  // The record first: a lease that is over here and active there would come back with a restart.
  const LeaseRow ended = ledger.EndedRow(row, outcome);
  const auto run = ledger.runs.find(row.lease.task.run_id);
  TaskEntry* const task = run == ledger.runs.end() ? nullptr : run->second->Find(row.lease.task);
  const bool failed = task != nullptr && outcome == LeaseOutcome::kAbandoned;
  TaskEntry changed = task == nullptr ? TaskEntry() : *task;
  if (failed) changed.NoteFailure(row.lease.worker_id);
  // One that was given before a restart may have been lost with the coordinator's machine.
  const bool evidence =
      task != nullptr && SpecOf(outcome).lost && !ledger.leases.Recovered(row.lease.fencing_token);
  if (evidence) ++changed.row.losses;
  std::optional<TaskRow> task_row;
  if (failed || evidence) task_row = changed.row;
  std::optional<RunRow> run_row;
  if (run != ledger.runs.end()) run_row = run->second->row;
  if (run_row.has_value()) ++run_row->lost_leases;
  DISTILLERY_RETURN_IF_ERROR(ledger.record->PutAll(ended, task_row, run_row));
  if (run_row.has_value()) run->second->row = *run_row;
  EndLease(ledger, row, outcome);
  if (task_row.has_value()) task->row = *task_row;
  ledger.statistics.Note(
      {"lease_lost", row.lease.task.run_id, row.lease.task, row.lease.worker_id,
       absl::StrCat("lease ", row.lease.fencing_token, " ", SpecOf(outcome).name)});
  if (failed) {
    return NoteFailure(ledger, row.lease,
                       "its worker asked for another task without a result of this one or "
                       "a reason; see that worker's log");
  }
  if (!evidence || task->row.losses < ledger.options.max_task_losses) return absl::OkStatus();
  const WorkerEntry* const worker = ledger.workers.Find(row.lease.worker_id);
  return Pause(ledger, *run->second,
               absl::StrCat(row.lease.task.ToString(), ": ", task->row.losses,
                            " times its worker was lost, the last was ",
                            worker == nullptr ? row.lease.worker_id : worker->row.name,
                            " (its lease has ", SpecOf(outcome).name,
                            "): it may end them, or need more memory than they have; look at their "
                            "logs, then resume the run"));
}

void EndOverdueLeases(Ledger& ledger) {
  const auto lose = [&ledger](const std::vector<LeaseRow>& rows,
                              LeaseOutcome outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
    for (const LeaseRow& row : rows) {
      // A run that pauses for one takes back its others.
      if (ledger.leases.Find(row.lease.fencing_token) == nullptr) continue;
      if (outcome == LeaseOutcome::kStalled) {
        LogWarning("lease {} of {} on {} ended: renewed, but no progress in {}",
                   row.lease.fencing_token, row.lease.worker_id, row.lease.task.ToString(),
                   absl::FormatDuration(ledger.options.stall_limit));
      }
      const absl::Status status = LoseLease(ledger, row, outcome);
      if (!status.ok()) LogError("{}", std::string(status.message()));
    }
  };
  lose(ledger.leases.Expired(ledger.Now()), LeaseOutcome::kExpired);
  lose(ledger.leases.Stalled(ledger.options.stall_limit, ledger.Now()), LeaseOutcome::kStalled);
}

}  // namespace distillery

#include "coordinator/run_course.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/disk_errors.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"

namespace distillery {
namespace {

constexpr absl::Duration kAdvanceAgainAfter = absl::Seconds(2);

// Ends the run's leases with `outcome` and puts the row, in one durable step.
absl::Status PutRunWithoutLeases(Ledger& ledger, const RunRow& row, LeaseOutcome outcome)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  std::vector<LeaseRow> leases = ledger.leases.OfRun(row.run_id);
  for (LeaseRow& lease : leases) lease = ledger.EndedRow(lease, outcome);
  DISTILLERY_RETURN_IF_ERROR(ledger.record->PutAll(row, leases));
  for (const LeaseRow& lease : leases) ledger.leases.Remove(lease.lease.fencing_token);
  ledger.statistics.Add(Count::kLeasesEnded, std::string(SpecOf(outcome).name),
                        static_cast<int64_t>(leases.size()));
  return absl::OkStatus();
}

// Unblocks or fails the runs that depend on `ended`.
absl::Status UpdateDependents(Ledger& ledger, const std::string& ended)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  for (RunEntry* const run : ledger.run_order) {
    const auto& names = run->spec.scheduling.depends_on;
    if (Ended(run->row.state) || !run->damage.empty() ||
        std::find(names.begin(), names.end(), ended) == names.end()) {
      continue;
    }
    const absl::Status standing = CheckDependencies(ledger, *run);
    if (!standing.ok()) {
      DISTILLERY_RETURN_IF_ERROR(
          EndRun(ledger, *run, RunState::kFailed, std::string(standing.message())));
    }
    ledger.Changed(*run);
  }
  return absl::OkStatus();
}

// The best weights take the place of the present ones.
absl::Status RollBack(Ledger& ledger, RunEntry& run, int64_t best_round)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  const int64_t present = run.row.completed_rounds;
  if (run.FileRound(present) == best_round) return absl::OkStatus();
  RoundRow round = run.rounds.back();
  round.rolled_back_to = best_round;
  RunRow row = run.row;
  row.weights_sha256 = run.WeightsSha256(best_round);
  DISTILLERY_RETURN_IF_ERROR(ledger.record->PutAll(round, row));
  run.rounds.back() = round;
  run.row = row;
  LogInfo("run {}: the best weights, of round {}, take the place of round {}'s", row.run_id,
          best_round, present);
  ledger.NoteGarbage(run);
  ledger.Changed(run);
  return absl::OkStatus();
}

// Does what the guard says to the newest evaluation.
absl::Status ObeyGuard(Ledger& ledger, RunEntry& run)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  using Action = GuardVerdict::Action;
  const GuardVerdict verdict = run.Judge();
  const bool done = run.row.completed_rounds == run.spec.training.rounds;
  if (verdict.best_round == 0 && verdict.action == Action::kGoOn) return absl::OkStatus();
  const bool best_wanted = done || verdict.action != Action::kGoOn;
  if (best_wanted && verdict.best_round > 0) {
    DISTILLERY_RETURN_IF_ERROR(RollBack(ledger, run, verdict.best_round));
  }
  if (verdict.action == Action::kStop)
    return EndRun(ledger, run, RunState::kSucceeded, verdict.reason);
  if (verdict.action == Action::kFail)
    return EndRun(ledger, run, RunState::kFailed, verdict.reason);
  return absl::OkStatus();
}

}  // namespace

std::string ReasonShown(const Ledger& ledger, const absl::Status& status) {
  return absl::StrReplaceAll(status.message(), {{ledger.options.state_dir, "the state folder"}});
}

absl::Status Pause(Ledger& ledger, RunEntry& run, const std::string& reason) {
  RunRow row = run.row;
  row.state = RunState::kPaused;
  row.state_reason = PlainText(reason);
  DISTILLERY_RETURN_IF_ERROR(PutRunWithoutLeases(ledger, row, LeaseOutcome::kPaused));
  for (auto& [key, task] : run.tasks) task.tokens.clear();
  run.row = row;
  run.waiting_for.clear();
  ledger.statistics.Note({"run_paused", row.run_id, {}, "", reason});
  ledger.Changed(run);
  return absl::OkStatus();
}

absl::Status CheckDependencies(Ledger& ledger, RunEntry& run) {
  run.blocked_by.clear();
  for (const std::string& id : run.spec.scheduling.depends_on) {
    const auto found = ledger.runs.find(id);
    // One that succeeded may have been deleted since: none that has not can be.
    if (found == ledger.runs.end() || found->second->row.state == RunState::kSucceeded) continue;
    if (Ended(found->second->row.state)) {
      return absl::FailedPreconditionError(
          absl::StrCat("run ", id, ", which this one depends on, has not succeeded"));
    }
    if (run.blocked_by.empty()) run.blocked_by = id;
  }
  return absl::OkStatus();
}

absl::Status EndRun(Ledger& ledger, RunEntry& run, RunState state, const std::string& reason) {
  RunRow row = run.row;
  row.state = state;
  row.state_reason = PlainText(reason);
  DISTILLERY_RETURN_IF_ERROR(PutRunWithoutLeases(ledger, row, LeaseOutcome::kCancelled));
  DISTILLERY_FAILPOINT("coordinator.run.ended");
  run.row = row;
  run.tasks.clear();
  run.blocked_by.clear();
  ledger.share.Leave(row.run_id);
  run.last_round.clear();
  run.samples.reset();
  ledger.NoteGarbage(run);
  ledger.statistics.Note({"run_ended",
                          row.run_id,
                          {},
                          "",
                          absl::StrCat(state == RunState::kSucceeded ? "succeeded" : "not finished",
                                       reason.empty() ? "" : ": ", reason)});
  ledger.Changed(run);
  return UpdateDependents(ledger, row.run_id);
}

void QueueRebuild(Ledger& ledger, RunEntry& run) {
  if (!run.damaged) {
    run.damaged = true;
    ledger.statistics.Add(Count::kDigestFailures, "weights");
    ledger.statistics.Note({"weights_damaged",
                            run.row.run_id,
                            {},
                            "",
                            absl::StrCat("the file of round ", run.row.completed_rounds,
                                         " is missing or its SHA-256 differs")});
  }
  if (run.averaging) return;
  ledger.QueueAveraging(run);
  ledger.Changed(run);
}

bool WaitsForDisk(Ledger& ledger, RunEntry& run, const absl::Status& status) {
  (void)ledger.disk.Note(status);
  if (!ledger.disk.full() && !IsOutOfDescriptors(status)) return false;
  run.averaging = false;
  ledger.Changed(run);
  return true;
}

absl::Status Advance(Ledger& ledger, RunEntry& run) {
  if (Ended(run.row.state) || run.row.state == RunState::kPaused) return absl::OkStatus();
  if (run.damaged) {
    QueueRebuild(ledger, run);
    return absl::OkStatus();
  }
  if (const std::string reason = run.Divergence(); !reason.empty()) {
    return EndRun(ledger, run, RunState::kFailed, reason);
  }
  DISTILLERY_RETURN_IF_ERROR(ObeyGuard(ledger, run));
  if (Ended(run.row.state)) return absl::OkStatus();
  run.MakeTasks();
  if (run.ReadyToAverage(ledger.Now())) {
    if (!run.averaging) {
      run.averaged.clear();
      for (const TaskEntry* const task : run.DeltasToAverage()) {
        run.averaged.insert(RunEntry::KeyOf(task->row.task));
      }
      ledger.QueueAveraging(run);
    }
    return absl::OkStatus();
  }
  if (run.Complete()) return EndRun(ledger, run, RunState::kSucceeded, "");
  return absl::OkStatus();
}

void AdvanceOverdueRuns(Ledger& ledger) {
  for (RunEntry* const run : ledger.run_order) {
    if (Ended(run->row.state) || run->row.state == RunState::kPaused) continue;
    const bool quorum_over = !run->averaging && run->QuorumDeadline() <= ledger.Now();
    if (!quorum_over && run->advance_after > ledger.Now()) continue;
    run->advance_after = absl::InfiniteDuration();
    const absl::Status advanced = Advance(ledger, *run);
    if (advanced.ok()) continue;
    LogError("run {}: {}", run->row.run_id, std::string(advanced.message()));
    run->advance_after = ledger.Now() + kAdvanceAgainAfter;
  }
}

}  // namespace distillery

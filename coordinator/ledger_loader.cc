#include "coordinator/ledger_loader.h"

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "coordinator/lease_ending.h"
#include "coordinator/round_files.h"
#include "coordinator/run_course.h"
#include "coordinator/run_loader.h"
#include "coordinator/state/file_check.h"

namespace distillery {
namespace {

// 0 if it is not there.
int64_t FileBytes(const std::string& path) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(path, missing);
  return missing ? 0 : static_cast<int64_t>(size);
}

// What was seen of the files, before anybody needs the ledger's mutex.
struct SeenFiles {
  // Newest weights that are missing or damaged, or not to be read now: the averager finds out
  // which.
  std::set<const RunEntry*> to_rebuild;
  // Deleted runs whose files are gone.
  std::vector<std::string> gone;
};

// Makes the runs' tasks and enters what is recorded of them. Returns the request_ids of counted
// results, those that are to be remembered longest last.
std::vector<std::string> EnterTasks(const Record::Contents& contents, LoadedRuns* loaded) {
  for (RunEntry* const run : loaded->order) run->MakeTasks();
  // By how many rounds ago.
  std::multimap<int64_t, const std::string*, std::greater<>> counted;
  for (const TaskRow& row : contents.tasks) {
    const auto found = loaded->runs.find(row.task.run_id);
    if (found == loaded->runs.end()) continue;
    RunEntry& run = *found->second;
    const int64_t age = run.row.completed_rounds - row.task.round;
    if (row.done && !Ended(run.row.state)) counted.emplace(age, &row.request_id);
    TaskEntry* const task = run.Find(row.task);
    if (task != nullptr) {
      task->row = row;
    } else {
      if (row.done && age == 1 && row.task.kind == TaskKind::kTrain) run.last_round.push_back(row);
      run.AddLate(row);
    }
  }
  std::vector<std::string> request_ids;
  for (const auto& [age, request_id] : counted) request_ids.push_back(*request_id);
  return request_ids;
}

// Looks at the files of a run that goes on; false if its newest weights are not sound.
absl::StatusOr<bool> LookAtFiles(const StateFolder& folder, RunEntry* run) {
  const std::string& run_id = run->row.run_id;
  const int64_t newest = run->row.completed_rounds;
  DISTILLERY_RETURN_IF_ERROR(folder.MakeRunFolders(run_id));
  run->ForgetEvaluations([&](int64_t round) {
    return round < newest && !FileExists(folder.Weights(run_id, run->FileRound(round)));
  });
  run->weights_bytes = FileBytes(folder.Weights(run_id, run->FileRound(newest)));
  for (const auto& [path, sha256] : NewestFiles(folder, *run)) {
    const absl::Status sound = CheckFileSha256(path, sha256);
    if (sound.ok()) continue;
    // As far as is known, and without an alarm.
    if (!absl::IsDataLoss(sound)) run->damaged = true;
    return false;
  }
  return true;
}

absl::StatusOr<SeenFiles> LookAtFiles(const StateFolder& folder, const Record::Contents& contents,
                                      const LoadedRuns& loaded) {
  SeenFiles seen;
  for (RunEntry* const run : loaded.order) {
    if (!run->damage.empty() || Ended(run->row.state)) continue;
    DISTILLERY_ASSIGN_OR_RETURN(const bool sound, LookAtFiles(folder, run));
    if (!sound) seen.to_rebuild.insert(run);
  }
  std::set<std::string> known;
  for (const auto& [run_id, run] : loaded.runs) known.insert(run_id);
  for (const DeletedRow& deleted : contents.deleted) {
    const absl::Status removed = folder.RemoveRun(deleted.run_id);
    if (removed.ok()) seen.gone.push_back(deleted.run_id);
    if (!removed.ok()) LogWarning("{}; the next start tries again", std::string(removed.message()));
    known.insert(deleted.run_id);
  }
  // Folders of runs whose submission was not recorded.
  const auto unknown = folder.RemoveEmptyRunsExcept(
      [&](const std::string& run_id) { return known.count(run_id) > 0; });
  if (!unknown.ok()) LogWarning("{}", std::string(unknown.status().message()));
  if (unknown.ok() && !unknown->empty()) {
    LogWarning(
        "weights/ and spool/ hold files of runs that the record does not know: {}. They stay, "
        "since "
        "a newer copy of the record may know them; if you have none, remove these folders",
        absl::StrJoin(*unknown, ", "));
  }
  return seen;
}

// A lease whose task is there no more, or is done, has ended: the record says so from now on.
void EnterLeases(Ledger& ledger, const std::vector<LeaseRow>& rows)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  std::vector<LeaseRow> ended;
  for (const LeaseRow& row : rows) {
    ledger.leases.SkipTokens(row.lease.fencing_token);
    if (row.outcome != LeaseOutcome::kActive) continue;
    const auto run = ledger.runs.find(row.lease.task.run_id);
    // A damaged run has no tasks: its leases are left as they are, for whoever mends its record.
    if (run != ledger.runs.end() && !run->second->damage.empty()) continue;
    TaskEntry* const task = run == ledger.runs.end() ? nullptr : run->second->Find(row.lease.task);
    if (task == nullptr || task->row.done) {
      ended.push_back(EndLease(
          ledger, row, task == nullptr ? LeaseOutcome::kCancelled : LeaseOutcome::kSuperseded));
      continue;
    }
    task->tokens.push_back(row.lease.fencing_token);
    ledger.leases.Add(row, ledger.Now(), /*recovered=*/true);
  }
  if (ended.empty()) return;
  // Nobody waits for it: where it cannot be recorded now, the next start does it.
  const absl::Status recorded = ledger.record->PutAll(ended);
  if (!recorded.ok()) LogWarning("leases without a task: {}", std::string(recorded.message()));
}

// The run goes on where it stood.
absl::Status GoOn(Ledger& ledger, RunEntry& run, const SeenFiles& seen)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  if (!run.damage.empty()) {
    ledger.statistics.Note(
        {"run_damaged",
         run.row.run_id,
         {},
         "",
         absl::StrCat(run.damage, "; `coordinator state check` says what can be done")});
    return absl::OkStatus();
  }
  // The process may have ended before it had removed what it needed no more.
  ledger.NoteGarbage(run);
  if (Ended(run.row.state)) return absl::OkStatus();
  run.round_began = ledger.Now();
  ledger.share.Join(run.row.run_id, run.spec.scheduling.priority);
  if (const absl::Status status = CheckDependencies(ledger, run); !status.ok()) {
    return EndRun(ledger, run, RunState::kFailed, std::string(status.message()));
  }
  if (seen.to_rebuild.count(&run) > 0) QueueRebuild(ledger, run);
  return Advance(ledger, run);
}

absl::Status Enter(Ledger& ledger, const Record::Contents& contents, LoadedRuns loaded,
                   const SeenFiles& seen) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  ledger.runs = std::move(loaded.runs);
  ledger.run_order = std::move(loaded.order);
  for (const RunRow& stored : contents.runs) {
    const RunEntry& run = *ledger.runs.at(stored.run_id);
    if (!run.damage.empty() || run.row.spec_json == stored.spec_json) continue;
    RunRow row = stored;
    row.spec_json = run.row.spec_json;
    DISTILLERY_RETURN_IF_ERROR(ledger.record->Put(row));
  }
  for (const WorkerRow& row : contents.workers) ledger.workers.Add(row, -absl::InfiniteDuration());
  DISTILLERY_RETURN_IF_ERROR(ledger.ForgetWorkers(0));
  EnterLeases(ledger, contents.leases);
  for (RunEntry* const run : ledger.run_order) {
    DISTILLERY_RETURN_IF_ERROR(GoOn(ledger, *run, seen));
  }
  for (const std::string& run_id : seen.gone) {
    DISTILLERY_RETURN_IF_ERROR(ledger.record->FilesAreGone(run_id));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Ledger>> OpenLedger(const CoordinatorOptions& options) {
  Record::Contents contents;
  DISTILLERY_ASSIGN_OR_RETURN(std::unique_ptr<Ledger> opened, Ledger::Open(options, &contents));
  Ledger& ledger = *opened;
  LoadedRuns loaded = LoadRuns(contents);
  const std::vector<std::string> counted = EnterTasks(contents, &loaded);
  DISTILLERY_ASSIGN_OR_RETURN(const SeenFiles seen, LookAtFiles(*ledger.folder, contents, loaded));
  DISTILLERY_RETURN_IF_ERROR(
      ledger.Write([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) -> absl::Status {
        for (const std::string& request_id : counted) ledger.counted_requests.insert(request_id);
        return Enter(ledger, contents, std::move(loaded), seen);
      }));
  return opened;
}

}  // namespace distillery

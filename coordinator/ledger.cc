#include "coordinator/ledger.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Whether the file of these weights is kept, given RoundsToKeep of the run, which looks at every
// evaluation.
bool Keeps(const RunEntry& run, int64_t kept_rounds, const std::set<int64_t>& wanted,
           int64_t file_round) {
  return file_round > run.row.completed_rounds - kept_rounds || wanted.count(file_round) > 0;
}

}  // namespace

Ledger::Ledger(const CoordinatorOptions& given, std::unique_ptr<StateFolder> opened)
    : options(given),
      statistics(given.clock),
      disk(given.state_dir, given.clock, &statistics, given.on_disk_failure),
      folder(std::move(opened)),
      leases(given.lease_duration),
      group_commit_([this] { return folder->SyncRecordLog(); },
                    [this](const absl::Status& status) { (void)disk.Note(status); }) {}

absl::StatusOr<std::unique_ptr<Ledger>> Ledger::Open(const CoordinatorOptions& options,
                                                     Record::Contents* contents) {
  DISTILLERY_ASSIGN_OR_RETURN(auto folder, StateFolder::Open(options.state_dir));
  std::unique_ptr<Ledger> ledger(new Ledger(options, std::move(folder)));
  DISTILLERY_ASSIGN_OR_RETURN(std::unique_ptr<Record> record,
                              Record::Open(ledger->folder->RecordPath(), contents));
  // SQLite has just made its log anew: from here on it is synced by the group, its name is by this.
  DISTILLERY_RETURN_IF_ERROR(ledger->folder->OpenRecordLog());
  // What was read is acted on: it must not be lost any more, whoever wrote it.
  DISTILLERY_RETURN_IF_ERROR(ledger->folder->SyncRecordLog());
  DISTILLERY_RETURN_IF_ERROR(record->DeferSync(&ledger->group_commit_));
  record->SetErrorObserver(
      [watch = &ledger->disk](const absl::Status& status) { (void)watch->Note(status); });
  MutexLock lock(ledger->mutex());
  ledger->record = std::move(record);
  return ledger;
}

void Ledger::Commit() {
  std::set<std::string> garbage;
  int64_t position = 0;
  {
    MutexLock lock(mutex_);
    garbage.swap(garbage_);
    position = group_commit_.position();
  }
  group_commit_.WaitUntilDurable(position);
  for (const std::string& run_id : garbage) RemoveGarbage(run_id);
}

absl::StatusOr<RunEntry*> Ledger::FindRun(const std::string& run_id) {
  const auto found = runs.find(run_id);
  if (found == runs.end()) {
    DISTILLERY_RETURN_IF_ERROR(CheckName("run_id", run_id, 128));
    return absl::NotFoundError(absl::StrCat("run \"", run_id, "\" is not known"));
  }
  return found->second.get();
}

void Ledger::Changed(const RunEntry& run) {
  changed.insert(run.row.run_id);
  Wake();
}

void Ledger::Wake() {
  woken = true;
  wake_timer.NotifyAll();
}

void Ledger::QueueAveraging(RunEntry& run) {
  run.averaging = true;
  to_average.push_back(run.row.run_id);
  wake_averager.NotifyAll();
}

void Ledger::NoteGarbage(const RunEntry& run) {
  garbage_.insert(run.row.run_id);
  RetryGarbage();
}

bool Ledger::KeepsWeights(const RunEntry& run, int64_t file_round) const {
  return Keeps(run, options.kept_rounds, run.RoundsToKeep(), file_round);
}

void Ledger::RemoveGarbage(const std::string& run_id) {
  const absl::StatusOr<StateFolder::RunFiles> files = folder->FilesOf(run_id);
  std::vector<std::string> unneeded;
  int64_t position = 0;
  {
    MutexLock lock(mutex_);
    const auto run = runs.find(run_id);
    if (run == runs.end()) return;  // DeleteRun removes what it has
    if (files.ok()) unneeded = Unneeded(*run->second, *files);
    if (!files.ok()) garbage_left_.insert(run_id);
    busy_files.insert(unneeded.begin(), unneeded.end());
    position = group_commit_.position();
  }
  if (!files.ok()) {
    LogWarning("run {}: files that it needs no more stay for now: {}", run_id,
               std::string(disk.Note(files.status()).message()));
    return;
  }
  if (unneeded.empty()) return;
  // What no longer needs them may have been recorded since this began.
  group_commit_.WaitUntilDurable(position);
  for (const std::string& path : unneeded) {
    const absl::Status removed = RemoveFile(path);
    if (!removed.ok()) LogWarning("run {}: {}", run_id, std::string(removed.message()));
  }
  MutexLock lock(mutex_);
  for (const std::string& path : unneeded) busy_files.erase(path);
}

std::vector<std::string> Ledger::Unneeded(const RunEntry& run,
                                          const StateFolder::RunFiles& files) const {
  std::vector<std::string> unneeded;
  const std::set<int64_t> wanted = run.RoundsToKeep();
  for (const auto& [path, round] : files.weights) {
    if (!Keeps(run, options.kept_rounds, wanted, round)) unneeded.push_back(path);
  }
  std::set<std::string> spooled;
  if (!Ended(run.row.state)) {
    for (const auto& [key, task] : run.tasks) {
      if (task.row.done) spooled.insert(folder->Absolute(task.row.delta_file));
    }
    for (const TaskRow& task : run.last_round) spooled.insert(folder->Absolute(task.delta_file));
  }
  for (const std::string& path : files.spooled) {
    if (spooled.count(path) == 0) unneeded.push_back(path);
  }
  unneeded.erase(std::remove_if(unneeded.begin(), unneeded.end(),
                                [&](const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                                  return busy_files.count(path) > 0;
                                }),
                 unneeded.end());
  return unneeded;
}

absl::Status Ledger::ForgetWorkers(size_t more) {
  const size_t most = WorkerBook::kMost - more;
  if (workers.size() <= most) return absl::OkStatus();
  if (Alive(workers.MostSilent())) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the coordinator has ", workers.size(),
                     " workers, all of them alive, and remembers no more: try again later"));
  }
  std::vector<std::string> forgotten;
  while (workers.size() > most && !Alive(workers.MostSilent())) {
    forgotten.push_back(workers.MostSilent().row.worker_id);
    workers.Remove(forgotten.back());
    strikes.Forgive(forgotten.back());
  }
  return record->ForgetWorkers(forgotten);
}

}  // namespace distillery

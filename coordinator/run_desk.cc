#include "coordinator/run_desk.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/run/sample_plan.h"
#include "coordinator/request_ledger.h"
#include "coordinator/run_course.h"
#include "coordinator/run_loader.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// The digest of a submitted spec. What is empty is left out, as a client that does not know the
// field leaves it out: a later version gives its request the same digest.
std::string DigestOf(const RunSpec& spec) {
  nlohmann::json json = nlohmann::json::parse(RunSpecToJson(spec));
  const auto empty = [](const nlohmann::json& value) {
    if (value.is_boolean()) return !value.get<bool>();
    if (value.is_number()) return value.get<double>() == 0;
    return value.empty() || value == "";
  };
  const auto prune = [&](nlohmann::json* object) {
    for (auto field = object->begin(); field != object->end();) {
      field = empty(*field) ? object->erase(field) : std::next(field);
    }
  };
  for (nlohmann::json& field : json) {
    if (field.is_object()) prune(&field);
  }
  prune(&json);
  return Sha256Hex(json.dump());
}

// Replaces the names of runs by ids.
absl::Status ResolveDependencies(Ledger& ledger, RunSpec* spec)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  for (std::string& name : spec->scheduling.depends_on) {
    if (ledger.runs.count(name) > 0) continue;
    const auto newest = std::find_if(ledger.run_order.rbegin(), ledger.run_order.rend(),
                                     [&](const RunEntry* run) { return run->spec.name == name; });
    if (newest == ledger.run_order.rend()) {
      return absl::FailedPreconditionError(
          absl::StrCat("scheduling.depends_on: no run has the id or the name \"", name, "\""));
    }
    name = (*newest)->row.run_id;
  }
  return absl::OkStatus();
}

// Why none of the present workers can train the run; empty if one can, or if that is not known.
std::string MemoryProblem(Ledger& ledger, const RunEntry& run)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  int64_t most = 0;
  std::string name;
  for (const WorkerEntry* const worker : ledger.workers.HeardSince(ledger.AliveSince())) {
    const WorkerRow& row = worker->row;
    if (run.TrainingBytes() <= row.memory_bytes || row.memory_bytes == 0) return "";
    if (row.memory_bytes <= most) continue;
    most = row.memory_bytes;
    name = row.name;
  }
  if (most == 0) return "";
  return absl::StrCat(
      "no worker has the memory to train the student: weights, gradients and "
      "optimizer take ",
      run.TrainingBytes() >> 20, " MiB at the least, the largest worker, ", name, ", has ",
      most >> 20, " MiB");
}

RunView ViewOf(Ledger& ledger, const RunEntry& run, bool with_details = false)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  RunView view = run.View(ledger.Now(), with_details);
  view.active_leases = ledger.leases.CountOfRun(run.row.run_id);
  view.live_workers = ledger.CountLiveWorkers();
  if (ledger.disk.full() && !Ended(view.row.state) && view.row.state != RunState::kPaused) {
    // Not the state "paused", which only a person ends.
    view.row.state_reason =
        "stands still: the coordinator's disk is full; goes on by itself once there is room";
  }
  if (ledger.disk.lack() == DiskWatch::Lack::kDescriptors && view.row.state == RunState::kRunning &&
      view.row.state_reason.empty() && (run.damaged || run.ReadyToAverage(ledger.Now()))) {
    view.row.state_reason =
        "averaging waits: the coordinator has no free file descriptor; goes on by itself once it "
        "has";
  }
  if (!Ended(view.row.state) && view.row.state_reason.empty() && view.live_workers == 0) {
    view.row.state_reason = "no worker is connected: start student_worker";
  }
  if (view.row.state == RunState::kRunning && view.row.state_reason.empty() &&
      view.active_leases == 0) {
    view.row.state_reason = MemoryProblem(ledger, run);
  }
  return view;
}

// The run that this request made, if it did. INVALID_ARGUMENT if its id was used for another one.
absl::StatusOr<std::optional<RunView>> FindRequest(Ledger& ledger, const std::string& request_id,
                                                   const std::string& request_sha256)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  for (const RunEntry* const run : ledger.run_order) {
    if (run->row.request_id != request_id) continue;
    if (!run->row.request_sha256.empty() && run->row.request_sha256 != request_sha256) {
      return RequestLedger::OtherRequest(request_id);
    }
    return ViewOf(ledger, *run);
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<RunView> RunDesk::Submit(const std::string& request_id, const RunSpec& spec) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_RETURN_IF_ERROR(ValidateRunSpec(spec));
  const std::string request_sha256 = DigestOf(spec);
  const auto known = ledger_.Write([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) {
    return FindRequest(ledger_, request_id, request_sha256);
  });
  if (!known.ok()) return known.status();
  if (known->has_value()) return **known;
  const std::string& initial = spec.student.initial_weights_sha256;
  if (!spec.student.initial_weights.empty() && initial.empty()) {
    return absl::InvalidArgumentError(
        "student.initial_weights is a file of the submitter: send it by UploadWeights and give "
        "student.initial_weights_sha256");
  }
  // They stay until the run is recorded, and then for its sake.
  std::shared_ptr<void> held;
  if (!initial.empty()) held = shelf_.Hold(initial);
  if (!initial.empty() && held == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("student.initial_weights_sha256 ", initial,
                     " is not here: send the weights by UploadWeights first"));
  }
  RunRow row;
  row.run_id = absl::StrCat(spec.name, "-", RandomHex(6));
  row.request_id = request_id;
  row.request_sha256 = request_sha256;
  row.teacher_digest = spec.needs_teacher() ? spec.teacher.digest : "";
  row.submitted_unix_seconds = absl::ToUnixSeconds(ledger_.options.clock->WallNow());
  DISTILLERY_RETURN_IF_ERROR(CheckNew(spec));
  // Without the mutex, since it waits for the disk.
  DISTILLERY_RETURN_IF_ERROR(ledger_.disk.Note(ledger_.folder->MakeRunFolders(row.run_id)));
  auto added = ledger_.Write(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) { return Add(row, spec); });
  if (!added.ok() || added->row.run_id != row.run_id) (void)ledger_.folder->RemoveRun(row.run_id);
  return added;
}

absl::Status RunDesk::CheckNew(const RunSpec& spec) {
  MutexLock lock(ledger_.mutex());
  RunEntry run({}, spec);
  DISTILLERY_RETURN_IF_ERROR(ResolveDependencies(ledger_, &run.spec));
  return CheckDependencies(ledger_, run);
}

absl::StatusOr<RunView> RunDesk::Add(RunRow row, RunSpec spec) {
  // Much may have happened while the folders were made.
  DISTILLERY_ASSIGN_OR_RETURN(const std::optional<RunView> known,
                              FindRequest(ledger_, row.request_id, row.request_sha256));
  if (known.has_value()) return *known;
  spec = WithoutFolders(std::move(spec));
  DISTILLERY_RETURN_IF_ERROR(ResolveDependencies(ledger_, &spec));
  row.number = ledger_.run_order.empty() ? 1 : ledger_.run_order.back()->row.number + 1;
  row.spec_json = RunSpecToJson(spec);
  auto run = std::make_unique<RunEntry>(row, spec);
  if (spec.training.local_steps > 0) {
    DISTILLERY_ASSIGN_OR_RETURN(SamplePlan plan, SamplePlan::Create(spec, {}));
    run->samples = std::make_shared<const SamplePlan>(std::move(plan));
  }
  DISTILLERY_RETURN_IF_ERROR(CheckDependencies(ledger_, *run));
  DISTILLERY_RETURN_IF_ERROR(ledger_.record->Put(row));
  DISTILLERY_FAILPOINT("coordinator.run.recorded");
  run->MakeTasks();
  ledger_.share.Join(row.run_id, spec.scheduling.priority);
  ledger_.statistics.Add(Count::kRunsSubmitted);
  ledger_.statistics.Note(
      {"run_submitted",
       row.run_id,
       {},
       "",
       absl::StrCat(spec.training.rounds, " rounds of ", spec.training.replicas, " replicas")});
  ledger_.Changed(*run);
  ledger_.run_order.push_back(run.get());
  RunEntry& added = *run;
  ledger_.runs[row.run_id] = std::move(run);
  return ViewOf(ledger_, added);
}

absl::StatusOr<RunView> RunDesk::Get(const std::string& run_id, bool with_details) {
  MutexLock lock(ledger_.mutex());
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, ledger_.FindRun(run_id));
  return ViewOf(ledger_, *run, with_details);
}

absl::StatusOr<std::vector<RoundView>> RunDesk::Rounds(const std::string& run_id, int64_t first,
                                                       int64_t limit) {
  MutexLock lock(ledger_.mutex());
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, ledger_.FindRun(run_id));
  std::vector<RoundView> views;
  for (size_t i = static_cast<size_t>(first); i < run->rounds.size(); ++i) {
    if (static_cast<int64_t>(views.size()) == limit) break;
    views.push_back(run->ViewRound(run->rounds[i]));
  }
  return views;
}

std::vector<RunView> RunDesk::List(int64_t before, int64_t limit) {
  MutexLock lock(ledger_.mutex());
  std::vector<RunView> views;
  for (auto run = ledger_.run_order.rbegin(); run != ledger_.run_order.rend(); ++run) {
    if (static_cast<int64_t>(views.size()) == limit) break;
    if (before == 0 || (*run)->row.number < before) {
      views.push_back(ViewOf(ledger_, **run, /*with_details=*/false));
    }
  }
  return views;
}

absl::StatusOr<RunView> RunDesk::Cancel(const std::string& run_id) {
  return ledger_.Write(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::StatusOr<RunView> {
        DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, ledger_.FindRun(run_id));
        if (!Ended(run->row.state)) {
          DISTILLERY_RETURN_IF_ERROR(EndRun(ledger_, *run, RunState::kCancelled, "cancelled"));
        }
        return ViewOf(ledger_, *run);
      });
}

absl::StatusOr<RunView> RunDesk::Pause(const std::string& run_id) {
  return ledger_.Write(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::StatusOr<RunView> {
        DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, ledger_.FindRun(run_id));
        if (!Ended(run->row.state) && run->row.state != RunState::kPaused) {
          DISTILLERY_RETURN_IF_ERROR(distillery::Pause(ledger_, *run, "paused"));
        }
        return ViewOf(ledger_, *run);
      });
}

absl::StatusOr<RunView> RunDesk::Resume(const std::string& run_id) {
  return ledger_.Write(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::StatusOr<RunView> {
        DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, ledger_.FindRun(run_id));
        if (run->row.state != RunState::kPaused) return ViewOf(ledger_, *run);
        if (!run->damage.empty()) {
          return absl::FailedPreconditionError(
              absl::StrCat("run ", run_id, " is damaged: ", run->damage,
                           "; put the record back from a copy, or cancel and delete the run"));
        }
        RunRow row = run->row;
        row.state = row.weights_sha256.empty() ? RunState::kPending : RunState::kRunning;
        row.state_reason.clear();
        std::vector<TaskRow> forgiven;
        for (const auto& [key, task] : run->tasks) {
          if (task.row.failures == 0 && task.row.losses == 0) continue;
          TaskRow& task_row = forgiven.emplace_back(task.row);
          task_row.failures = task_row.losses = 0;
          task_row.failed_workers.clear();
        }
        DISTILLERY_RETURN_IF_ERROR(ledger_.record->PutAll(forgiven, row));
        for (const TaskRow& task_row : forgiven) run->Find(task_row.task)->row = task_row;
        run->accepted_round = row.completed_rounds;
        run->round_began = ledger_.Now();
        run->row = row;
        ledger_.statistics.Note({"run_resumed", row.run_id, {}, "", "goes on"});
        ledger_.Changed(*run);
        DISTILLERY_RETURN_IF_ERROR(Advance(ledger_, *run));
        return ViewOf(ledger_, *run);
      });
}

absl::Status RunDesk::Delete(const std::string& run_id) {
  DISTILLERY_RETURN_IF_ERROR(Forget(run_id));
  // From here on the run is deleted, whatever becomes of its files: the record that no longer needs
  // them is on disk, and the next start removes what is left of them.
  absl::Status removed = ledger_.folder->RemoveRun(run_id);
  if (removed.ok()) {
    MutexLock lock(ledger_.mutex());
    removed = ledger_.record->FilesAreGone(run_id);
  }
  if (!removed.ok()) LogWarning("{}; the next start tries again", std::string(removed.message()));
  return absl::OkStatus();
}

absl::Status RunDesk::Forget(const std::string& run_id) {
  return ledger_.Write([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, ledger_.FindRun(run_id));
    if (!Ended(run->row.state)) {
      return absl::FailedPreconditionError(
          absl::StrCat("run ", run_id, " has not ended: cancel it first"));
    }
    for (const RunEntry* const other : ledger_.run_order) {
      const auto& names = other->spec.scheduling.depends_on;
      if (!Ended(other->row.state) &&
          std::find(names.begin(), names.end(), run_id) != names.end()) {
        return absl::FailedPreconditionError(
            absl::StrCat("run ", other->row.run_id, " depends on run ", run_id));
      }
    }
    DISTILLERY_RETURN_IF_ERROR(ledger_.record->DeleteRun(run_id));
    ledger_.run_order.erase(std::remove(ledger_.run_order.begin(), ledger_.run_order.end(), run),
                            ledger_.run_order.end());
    ledger_.to_average.remove(run_id);
    ledger_.runs.erase(run_id);
    ledger_.changed.insert(run_id);
    ledger_.Wake();
    LogInfo("run {} is deleted", run_id);
    return absl::OkStatus();
  });
}

absl::Status RunDesk::Watch(const std::string& run_id,
                            const std::shared_ptr<RunListener>& listener) {
  MutexLock lock(ledger_.mutex());
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, ledger_.FindRun(run_id));
  // Those that have gone, so that clients that come and go leave nothing behind on a quiet run.
  const auto [first, last] = listeners_.equal_range(run_id);
  for (auto entry = first; entry != last;) {
    entry = entry->second.expired() ? listeners_.erase(entry) : std::next(entry);
  }
  listeners_.emplace(run->row.run_id, listener);
  return absl::OkStatus();
}

void RunDesk::TellListeners() {
  std::vector<std::shared_ptr<RunListener>> told;
  {
    MutexLock lock(ledger_.mutex());
    for (auto changed = ledger_.changed.begin(); changed != ledger_.changed.end();) {
      const std::string& run_id = *changed;
      const auto run = ledger_.runs.find(run_id);
      if (run != ledger_.runs.end()) {
        if (ledger_.Now() < run->second->TellAfter()) {
          ++changed;
          continue;
        }
        run->second->told = ledger_.Now();
      }
      const auto [first, last] = listeners_.equal_range(run_id);
      for (auto entry = first; entry != last;) {
        if (auto listener = entry->second.lock()) {
          told.push_back(std::move(listener));
          ++entry;
        } else {
          entry = listeners_.erase(entry);
        }
      }
      changed = ledger_.changed.erase(changed);
    }
  }
  // Others may have recorded something since the caller last waited for the disk.
  if (!told.empty()) ledger_.Commit();
  for (const auto& listener : told) listener->OnRunChanged();
}

std::vector<std::shared_ptr<RunListener>> RunDesk::listeners() {
  MutexLock lock(ledger_.mutex());
  std::vector<std::shared_ptr<RunListener>> alive;
  for (const auto& [run_id, weak] : listeners_) {
    if (auto listener = weak.lock()) alive.push_back(std::move(listener));
  }
  return alive;
}

}  // namespace distillery

// Coordinator: opening, threads, runs and weights. Tasks and results are in coordinator_tasks.cc.
#include "coordinator/coordinator.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "coordinator/average.h"
#include "coordinator/request_ledger.h"
#include "coordinator/run_loader.h"
#include "coordinator/state/file_check.h"
#include "coordinator/upload_size.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

constexpr absl::Duration kRetryAfterDiskError = absl::Seconds(2);

// Of a spec as it was submitted. What is empty is left out, as a client leaves it out that does not
// know the field: a later version gives its request the same digest.
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

// 0 if it is not there.
int64_t FileBytes(const std::string& path) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(path, missing);
  return missing ? 0 : static_cast<int64_t>(size);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Open(const Options& options) {
  std::unique_ptr<Coordinator> coordinator(new Coordinator(options));
  DISTILLERY_ASSIGN_OR_RETURN(coordinator->folder_, StateFolder::Open(options.state_dir));
  Record::Contents contents;
  const RecordLock lock(coordinator.get());
  DISTILLERY_ASSIGN_OR_RETURN(coordinator->record_,
                              Record::Open(coordinator->folder_->RecordPath(), &contents));
  // SQLite has just made its log anew: from here on it is synced by the group, its name is by this.
  DISTILLERY_RETURN_IF_ERROR(coordinator->folder_->OpenRecordLog());
  // What was read is acted on: it must not be lost any more, whoever wrote it.
  DISTILLERY_RETURN_IF_ERROR(coordinator->folder_->SyncRecordLog());
  DISTILLERY_RETURN_IF_ERROR(coordinator->record_->DeferSync(&coordinator->group_commit_));
  coordinator->record_->SetErrorObserver(
      [disk = &coordinator->disk_](const absl::Status& status) { (void)disk->Note(status); });
  DISTILLERY_RETURN_IF_ERROR(coordinator->Load(contents));
  return coordinator;
}

absl::Status Coordinator::Load(const Record::Contents& contents) {
  LoadedRuns loaded = LoadRuns(contents);
  runs_ = std::move(loaded.runs);
  run_order_ = std::move(loaded.order);
  bool any_damaged = false;
  for (RunEntry* const run : run_order_) {
    if (!run->damage.empty()) {
      any_damaged = true;
      statistics_.Note(
          {"run_damaged",
           run->row.run_id,
           {},
           "",
           absl::StrCat(run->damage, "; `coordinator state check` says what can be done")});
    }
    run->MakeTasks();
  }
  for (const RunRow& stored : contents.runs) {
    const RunEntry& run = *runs_.at(stored.run_id);
    if (!run.damage.empty() || run.row.spec_json == stored.spec_json) continue;
    RunRow row = stored;
    row.spec_json = run.row.spec_json;
    DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
  }
  // By how many rounds ago: the newest are remembered longest.
  std::multimap<int64_t, const std::string*, std::greater<>> counted;
  for (const TaskRow& row : contents.tasks) {
    if (runs_.count(row.task.run_id) == 0) continue;
    RunEntry& run = *runs_[row.task.run_id];
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
  for (const auto& [age, request_id] : counted) counted_requests_.insert(*request_id);
  for (const WorkerRow& row : contents.workers) workers_.Add(row, -absl::InfiniteDuration());
  DISTILLERY_RETURN_IF_ERROR(ForgetWorkers(0));
  for (const LeaseRow& row : contents.leases) {
    leases_.SkipTokens(row.lease.fencing_token);
    if (row.outcome != "active") continue;
    const auto run = runs_.find(row.lease.task.run_id);
    TaskEntry* const task = run == runs_.end() ? nullptr : run->second->Find(row.lease.task);
    if (task == nullptr || task->row.done) continue;
    task->tokens.push_back(row.lease.fencing_token);
    leases_.Add(row, Now(), /*recovered=*/true);
  }
  for (RunEntry* const run : run_order_) {
    if (!run->damage.empty()) continue;
    if (Ended(run->row.state)) {
      // Ended, and the process too, before these were removed.
      AddGarbage(folder_->SpoolExcept(run->row.run_id, {}));
      continue;
    }
    run->round_began = Now();
    share_.Join(run->row.run_id, run->spec.scheduling.priority);
    if (const absl::Status status = CheckDependencies(*run); !status.ok()) {
      DISTILLERY_RETURN_IF_ERROR(EndRun(*run, RunState::kFailed, std::string(status.message())));
      continue;
    }
    DISTILLERY_RETURN_IF_ERROR(folder_->MakeRunFolders(run->row.run_id));
    run->ForgetEvaluations([&](int64_t round) {
      return round < run->row.completed_rounds &&
             !FileExists(folder_->Weights(run->row.run_id, run->FileRound(round)));
    });
    // Missing or damaged, or not to be read now: the averager finds out which.
    for (const auto& [path, sha256] : NewestFiles(*run)) {
      const absl::Status sound = CheckFileSha256(path, sha256);
      if (sound.ok()) continue;
      // As far as is known, and without an alarm.
      if (!absl::IsDataLoss(sound)) run->damaged = true;
      QueueRebuild(*run);
    }
    run->weights_bytes =
        FileBytes(folder_->Weights(run->row.run_id, run->FileRound(run->row.completed_rounds)));
    CollectGarbage(*run);
    DISTILLERY_RETURN_IF_ERROR(Advance(*run));
  }
  for (const DeletedRow& deleted : contents.deleted) {
    if (!folder_->RemoveRun(deleted.run_id).ok()) continue;
    DISTILLERY_RETURN_IF_ERROR(record_->FilesAreGone(deleted.run_id));
  }
  // Of runs whose submission was not recorded. What holds a file stays: it may be of a run of which
  // an older copy of the record, put back by a person, knows nothing.
  folder_->RemoveEmptyRunsExcept([this](const std::string& run_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                                     mutex_) { return runs_.count(run_id) > 0; });
  // What a run that cannot be read starts from is not known.
  if (!any_damaged) LimitUploadedWeights(0);
  return absl::OkStatus();
}

Coordinator::~Coordinator() {
  Close();
  if (timer_.joinable()) timer_.join();
  if (averager_.joinable()) averager_.join();
}

void Coordinator::Start() {
  timer_ = std::thread([this] {
    while (true) {
      {
        MutexLock lock(mutex_);
        while (!closing_ && !woken_) {
          absl::Duration left = NextWake() - Now();
          // Leases do not end while the disk is full, so their deadlines are none.
          const bool lacking = disk_.lack() != DiskWatch::Lack::kNothing;
          if (lacking) left = std::max(left, absl::Milliseconds(200));
          if (left <= absl::ZeroDuration()) break;
          wake_timer_.WaitFor(mutex_, std::min(left, absl::Seconds(1)));
          if (lacking) break;
        }
        if (closing_) return;
        woken_ = false;
      }
      Tick();
    }
  });
  averager_ = std::thread([this] {
    while (true) {
      if (AverageNext()) continue;
      MutexLock lock(mutex_);
      while (!closing_ && to_average_.empty()) wake_averager_.Wait(mutex_);
      if (closing_) return;
    }
  });
}

void Coordinator::Close() {
  std::list<Waiter> waiters;
  std::vector<std::shared_ptr<RunListener>> listeners;
  {
    MutexLock lock(mutex_);
    closing_ = true;
    waiters.swap(waiters_);
    for (const auto& [run_id, weak] : listeners_) {
      if (auto listener = weak.lock()) listeners.push_back(std::move(listener));
    }
    wake_timer_.NotifyAll();
    wake_averager_.NotifyAll();
  }
  for (Waiter& waiter : waiters) {
    waiter.done(absl::UnavailableError("the coordinator is stopping"));
  }
  for (const auto& listener : listeners) listener->OnRunChanged();
}

bool Coordinator::closing() {
  MutexLock lock(mutex_);
  return closing_;
}

void Coordinator::Wake() {
  woken_ = true;
  wake_timer_.NotifyAll();
}

void Coordinator::Changed(const RunEntry& run) {
  changed_.insert(run.row.run_id);
  Wake();
}

absl::StatusOr<RunEntry*> Coordinator::FindRun(const std::string& run_id) {
  const auto found = runs_.find(run_id);
  if (found == runs_.end()) {
    DISTILLERY_RETURN_IF_ERROR(CheckName("run_id", run_id, 128));
    return absl::NotFoundError(absl::StrCat("run \"", run_id, "\" is not known"));
  }
  return found->second.get();
}

RunView Coordinator::ViewOf(const RunEntry& run, bool with_details) {
  RunView view = run.View(Now(), with_details);
  view.active_leases = leases_.CountOfRun(run.row.run_id);
  view.live_workers = CountLiveWorkers();
  if (disk_.full() && !Ended(view.row.state) && view.row.state != RunState::kPaused) {
    // Not the state "paused", which only a person ends.
    view.row.state_reason =
        "stands still: the coordinator's disk is full; goes on by itself once there is room";
  }
  if (disk_.lack() == DiskWatch::Lack::kDescriptors && view.row.state == RunState::kRunning &&
      view.row.state_reason.empty() && (run.damaged || run.ReadyToAverage(Now()))) {
    view.row.state_reason =
        "averaging waits: the coordinator has no free file descriptor; goes on by itself once it "
        "has";
  }
  if (!Ended(view.row.state) && view.row.state_reason.empty() && view.live_workers == 0) {
    view.row.state_reason = "no worker is connected: start student_worker";
  }
  if (view.row.state == RunState::kRunning && view.row.state_reason.empty() &&
      view.active_leases == 0) {
    view.row.state_reason = MemoryProblem(run);
  }
  return view;
}

absl::StatusOr<RunView> Coordinator::SubmitRun(const std::string& request_id, const RunSpec& spec) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_RETURN_IF_ERROR(ValidateRunSpec(spec));
  const std::string request_sha256 = DigestOf(spec);
  const RecordLock lock(this);
  for (RunEntry* const run : run_order_) {
    if (run->row.request_id != request_id) continue;
    if (run->row.request_sha256.empty() || run->row.request_sha256 == request_sha256) {
      return ViewOf(*run);
    }
    return RequestLedger::OtherRequest(request_id);
  }
  const std::string& initial = spec.student.initial_weights_sha256;
  if (!spec.student.initial_weights.empty() && initial.empty()) {
    return absl::InvalidArgumentError(
        "student.initial_weights is a file of the submitter: send it by UploadWeights and give "
        "student.initial_weights_sha256");
  }
  if (!initial.empty() && !FileExists(folder_->UploadedWeights(initial))) {
    return absl::FailedPreconditionError(
        absl::StrCat("student.initial_weights_sha256 ", initial,
                     " is not here: send the weights by UploadWeights first"));
  }
  RunSpec resolved = WithoutFolders(spec);
  DISTILLERY_RETURN_IF_ERROR(ResolveDependencies(&resolved));
  RunRow row;
  row.run_id = absl::StrCat(spec.name, "-", RandomHex(6));
  row.number = run_order_.empty() ? 1 : run_order_.back()->row.number + 1;
  row.request_id = request_id;
  row.spec_json = RunSpecToJson(resolved);
  row.teacher_digest = spec.needs_teacher() ? spec.teacher.digest : "";
  row.submitted_unix_seconds = absl::ToUnixSeconds(options_.clock->WallNow());
  row.request_sha256 = request_sha256;
  auto run = std::make_unique<RunEntry>(row, resolved);
  if (resolved.training.local_steps > 0) {
    DISTILLERY_ASSIGN_OR_RETURN(SamplePlan plan, SamplePlan::Create(resolved, {}));
    run->samples = std::make_shared<const SamplePlan>(std::move(plan));
  }
  DISTILLERY_RETURN_IF_ERROR(CheckDependencies(*run));
  DISTILLERY_RETURN_IF_ERROR(disk_.Note(folder_->MakeRunFolders(row.run_id)));
  DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
  DISTILLERY_FAILPOINT("coordinator.run.recorded");
  run->MakeTasks();
  share_.Join(row.run_id, resolved.scheduling.priority);
  statistics_.Add(Count::kRunsSubmitted);
  statistics_.Note(
      {"run_submitted",
       row.run_id,
       {},
       "",
       absl::StrCat(spec.training.rounds, " rounds of ", spec.training.replicas, " replicas")});
  Changed(*run);
  run_order_.push_back(run.get());
  RunEntry& added = *run;
  runs_[row.run_id] = std::move(run);
  return ViewOf(added);
}

absl::StatusOr<RunView> Coordinator::GetRun(const std::string& run_id, bool with_details) {
  MutexLock lock(mutex_);
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(run_id));
  return ViewOf(*run, with_details);
}

absl::StatusOr<std::vector<RoundView>> Coordinator::GetRounds(const std::string& run_id,
                                                              int64_t first, int64_t limit) {
  MutexLock lock(mutex_);
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(run_id));
  std::vector<RoundView> views;
  for (size_t i = static_cast<size_t>(first); i < run->rounds.size(); ++i) {
    if (static_cast<int64_t>(views.size()) == limit) break;
    views.push_back(run->ViewRound(run->rounds[i]));
  }
  return views;
}

std::vector<RunView> Coordinator::ListRuns(int64_t before, int64_t limit) {
  MutexLock lock(mutex_);
  std::vector<RunView> views;
  for (auto run = run_order_.rbegin(); run != run_order_.rend(); ++run) {
    if (static_cast<int64_t>(views.size()) == limit) break;
    if (before == 0 || (*run)->row.number < before) {
      views.push_back(ViewOf(**run, /*with_details=*/false));
    }
  }
  return views;
}

absl::StatusOr<RunView> Coordinator::CancelRun(const std::string& run_id) {
  const RecordLock lock(this);
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(run_id));
  if (!Ended(run->row.state)) {
    DISTILLERY_RETURN_IF_ERROR(EndRun(*run, RunState::kCancelled, "cancelled"));
  }
  return ViewOf(*run);
}

absl::Status Coordinator::Watch(const std::string& run_id,
                                const std::shared_ptr<RunListener>& listener) {
  MutexLock lock(mutex_);
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(run_id));
  // Those that have gone, so that clients that come and go leave nothing behind on a quiet run.
  const auto [first, last] = listeners_.equal_range(run_id);
  for (auto entry = first; entry != last;) {
    entry = entry->second.expired() ? listeners_.erase(entry) : std::next(entry);
  }
  listeners_.emplace(run->row.run_id, listener);
  return absl::OkStatus();
}

absl::StatusOr<RunView> Coordinator::PauseRun(const std::string& run_id) {
  const RecordLock lock(this);
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(run_id));
  if (!Ended(run->row.state) && run->row.state != RunState::kPaused) {
    DISTILLERY_RETURN_IF_ERROR(Pause(*run, "paused"));
  }
  return ViewOf(*run);
}

absl::Status Coordinator::Pause(RunEntry& run, const std::string& reason) {
  RunRow row = run.row;
  row.state = RunState::kPaused;
  row.state_reason = PlainText(reason);
  DISTILLERY_RETURN_IF_ERROR(PutRunWithoutLeases(row, "paused"));
  for (auto& [key, task] : run.tasks) task.tokens.clear();
  run.row = row;
  run.waiting_for.clear();
  statistics_.Note({"run_paused", row.run_id, {}, "", reason});
  Changed(run);
  return absl::OkStatus();
}

absl::StatusOr<RunView> Coordinator::ResumeRun(const std::string& run_id) {
  const RecordLock lock(this);
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(run_id));
  if (run->row.state != RunState::kPaused) return ViewOf(*run);
  if (!run->damage.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", run_id, " is damaged: ", run->damage,
                     "; put the record back from a copy, or cancel and delete the run"));
  }
  RunRow row = run->row;
  row.state = row.weights_sha256.empty() ? RunState::kPending : RunState::kRunning;
  row.state_reason.clear();
  DISTILLERY_RETURN_IF_ERROR(
      record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        for (auto& [key, task] : run->tasks) {
          if (task.row.failures == 0 && task.row.losses == 0) continue;
          TaskRow forgiven = task.row;
          forgiven.failures = 0;
          forgiven.losses = 0;
          forgiven.failed_workers.clear();
          DISTILLERY_RETURN_IF_ERROR(record_->Put(forgiven));
        }
        return record_->Put(row);
      }));
  for (auto& [key, task] : run->tasks) {
    task.row.failures = 0;
    task.row.losses = 0;
    task.row.failed_workers.clear();
  }
  run->accepted_round = row.completed_rounds;
  run->round_began = Now();
  run->row = row;
  statistics_.Note({"run_resumed", row.run_id, {}, "", "goes on"});
  Changed(*run);
  DISTILLERY_RETURN_IF_ERROR(Advance(*run));
  return ViewOf(*run);
}

absl::Status Coordinator::PutRunWithoutLeases(const RunRow& row, const std::string& outcome) {
  const std::vector<LeaseRow> leases = leases_.OfRun(row.run_id);
  DISTILLERY_RETURN_IF_ERROR(
      record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
        for (LeaseRow ended : leases) {
          ended.outcome = outcome;
          ended.ended_unix_millis = WallMillis();
          DISTILLERY_RETURN_IF_ERROR(record_->Put(ended));
        }
        return absl::OkStatus();
      }));
  for (const LeaseRow& lease : leases) leases_.Remove(lease.lease.fencing_token);
  statistics_.Add(Count::kLeasesEnded, outcome, static_cast<int64_t>(leases.size()));
  return absl::OkStatus();
}

absl::Status Coordinator::EndRun(RunEntry& run, RunState state, const std::string& reason) {
  RunRow row = run.row;
  row.state = state;
  row.state_reason = PlainText(reason);
  DISTILLERY_RETURN_IF_ERROR(PutRunWithoutLeases(row, "cancelled"));
  DISTILLERY_FAILPOINT("coordinator.run.ended");
  run.row = row;
  run.tasks.clear();
  run.blocked_by.clear();
  share_.Leave(row.run_id);
  run.last_round.clear();
  run.samples.reset();
  CollectGarbage(run);
  statistics_.Note({"run_ended",
                    row.run_id,
                    {},
                    "",
                    absl::StrCat(state == RunState::kSucceeded ? "succeeded" : "not finished",
                                 reason.empty() ? "" : ": ", reason)});
  Changed(run);
  return UpdateDependents(row.run_id);
}

absl::Status Coordinator::Advance(RunEntry& run) {
  if (Ended(run.row.state) || run.row.state == RunState::kPaused) return absl::OkStatus();
  if (run.damaged) {
    QueueRebuild(run);
    return absl::OkStatus();
  }
  if (const std::string reason = run.Divergence(); !reason.empty()) {
    return EndRun(run, RunState::kFailed, reason);
  }
  DISTILLERY_RETURN_IF_ERROR(ObeyGuard(run));
  if (Ended(run.row.state)) return absl::OkStatus();
  run.MakeTasks();
  if (run.ReadyToAverage(Now())) {
    if (!run.averaging) {
      run.averaging = true;
      run.averaged.clear();
      for (const TaskEntry* const task : run.DeltasToAverage()) {
        run.averaged.insert(RunEntry::KeyOf(task->row.task));
      }
      to_average_.push_back(run.row.run_id);
      wake_averager_.NotifyAll();
    }
    return absl::OkStatus();
  }
  if (run.Complete()) return EndRun(run, RunState::kSucceeded, "");
  return absl::OkStatus();
}

void Coordinator::CollectGarbage(const RunEntry& run) {
  AddGarbage(folder_->WeightsBefore(
      run.row.run_id, run.row.completed_rounds + 1 - options_.kept_rounds, run.RoundsToKeep()));
  std::set<std::string> spooled;
  for (const auto& [key, task] : run.tasks) {
    if (task.row.done) spooled.insert(task.row.delta_file);
  }
  for (const TaskRow& task : run.last_round) spooled.insert(task.delta_file);
  for (std::string& path : folder_->SpoolExcept(run.row.run_id, spooled)) {
    if (committing_.count(path) == 0) garbage_.push_back(std::move(path));
  }
}

void Coordinator::AddGarbage(std::vector<std::string> paths) {
  std::move(paths.begin(), paths.end(), std::back_inserter(garbage_));
}

Coordinator::RecordLock::~RecordLock() {
  const std::vector<std::string> garbage = std::move(coordinator_->garbage_);
  coordinator_->garbage_.clear();
  const int64_t position = coordinator_->group_commit_.position();
  coordinator_->mutex_.Unlock();
  coordinator_->group_commit_.WaitUntilDurable(position);
  std::error_code ignored;
  for (const std::string& path : garbage) std::filesystem::remove_all(path, ignored);
}

AverageRequest Coordinator::RequestAverage(const RunEntry& run, int64_t round,
                                           const std::vector<TaskRow>& tasks) {
  const std::string& run_id = run.row.run_id;
  AverageRequest request;
  for (const TaskRow& task : tasks) {
    const auto rounds_late = static_cast<double>(round - task.task.round);
    request.deltas.push_back(
        {folder_->Absolute(task.delta_file),
         static_cast<double>(task.metrics.sample_count) / std::sqrt(1 + rounds_late),
         task.delta_sha256});
  }
  request.buffer_names = run.BufferNames();
  if (!run.spec.averaging.method.empty()) request.method = run.spec.averaging.method;
  request.trim = run.spec.averaging.trim;
  request.clip_norm = run.spec.averaging.clip_norm;
  request.outer_optimizer = run.spec.outer.optimizer;
  request.outer_learning_rate = run.spec.outer.learning_rate;
  request.outer_momentum = run.spec.outer.momentum;
  request.outer_beta2 = run.spec.outer.beta2;
  request.outer_epsilon = run.spec.outer.epsilon;
  request.weights_path = folder_->Weights(run_id, run.FileRound(round));
  request.weights_sha256 = run.WeightsSha256(round);
  // After a roll-back the outer optimizer begins anew.
  const bool carries = round > 0 && run.FileRound(round) == round;
  if (carries) {
    const RoundRow& before = run.rounds[static_cast<size_t>(round) - 1];
    request.momentum_sha256 = before.momentum_sha256;
    request.variance_sha256 = before.variance_sha256;
  }
  if (carries && KeepsMomentum(request.outer_optimizer)) {
    request.momentum_path = folder_->Momentum(run_id, round);
  }
  if (carries && KeepsVariance(request.outer_optimizer)) {
    request.variance_path = folder_->Variance(run_id, round);
  }
  request.weights_output = folder_->Incoming();
  request.momentum_output = folder_->Incoming();
  request.variance_output = folder_->Incoming();
  return request;
}

bool Coordinator::AverageNext() {
  AverageRequest request;
  std::string run_id;
  int64_t round = 0;
  {
    MutexLock lock(mutex_);
    if (to_average_.empty() || closing_) return false;
    run_id = to_average_.front();
    to_average_.pop_front();
    const auto found = runs_.find(run_id);
    if (found == runs_.end()) return true;
    RunEntry& run = *found->second;
    if (Ended(run.row.state)) return true;
    if (run.row.state == RunState::kPaused && !run.damaged) {
      run.averaging = false;  // resuming asks for it again
      return true;
    }
    if (!run.damaged) {
      round = run.row.completed_rounds;
      request = RequestAverage(run, round, run.AveragedTasks());
    }
  }
  if (request.deltas.empty()) {
    RebuildWeights(run_id);
    return true;
  }
  const LogFields about({{"run", run_id}, {"round", round}});
  const absl::Duration started = Now();
  const absl::StatusOr<AverageResult> average = AverageDeltas(request);
  absl::Status status = average.status();
  if (average.ok() && average->damaged()) {
    const RecordLock lock(this);
    const auto found = runs_.find(run_id);
    if (found != runs_.end()) HandleDamage(*found->second, *average);
    return true;
  }
  if (status.ok()) DISTILLERY_FAILPOINT("coordinator.average.written");
  if (status.ok()) status = PublishAverage(request, run_id, round);

  const RecordLock lock(this);
  const auto found = runs_.find(run_id);
  if (found == runs_.end()) return true;
  RunEntry& run = *found->second;
  if (Ended(run.row.state)) return true;
  if (status.ok()) {
    const absl::Status norms = run.CheckNorms(average->delta_norms);
    if (!norms.ok()) {
      statistics_.Add(Count::kRejectedDeltas, "norm");
      run.averaging = false;
      if (const absl::Status paused = Pause(run, std::string(norms.message())); !paused.ok()) {
        LogError("run {}: {}", run_id, std::string(paused.message()));
      }
      return true;
    }
  }
  if (status.ok()) status = RecordAverage(run_id, round, *average);
  if (status.ok()) {
    statistics_.Add(Count::kRoundsAveraged);
    statistics_.NoteAveraging(Now() - started);
    run.averaging = false;
    if (const absl::Status advanced = Advance(run); !advanced.ok()) {
      LogError("run {}: {}", run_id, std::string(advanced.message()));
    }
    return true;
  }
  LogError("run {}: averaging round {}: {}", run_id, round, std::string(status.message()));
  // Reasons are shown to clients, which need not know where the folder is.
  const std::string reason =
      absl::StrReplaceAll(status.message(), {{options_.state_dir, "the state folder"}});
  if (absl::IsDataLoss(status) || absl::IsFailedPrecondition(status) || absl::IsNotFound(status)) {
    (void)EndRun(run, RunState::kFailed, absl::StrCat("averaging round ", round, ": ", reason));
    return true;
  }
  if (WaitsForDisk(run, status)) return true;
  // Nothing is lost by trying again.
  run.row.state_reason = PlainText(absl::StrCat("averaging waits: ", reason));
  to_average_.push_back(run_id);
  Changed(run);
  const absl::Duration until = Now() + kRetryAfterDiskError;
  while (!closing_ && Now() < until) wake_averager_.WaitFor(mutex_, until - Now());
  return true;
}

absl::Status Coordinator::RecordAverage(const std::string& run_id, int64_t round,
                                        const AverageResult& average) {
  const std::string& sha256 = average.weights_sha256;
  RunEntry& run = *runs_.at(run_id);
  const std::vector<TaskRow> averaged = run.AveragedTasks();
  RoundRow round_row{run_id, round, sha256, {}, MedianOf(average.delta_norms)};
  round_row.momentum_sha256 = average.momentum_sha256;
  round_row.variance_sha256 = average.variance_sha256;
  TrainMetrics& total = round_row.metrics;
  for (const RunEntry::TaskKey& key : run.averaged) {
    const TrainMetrics& part = run.tasks.at(key).row.metrics;
    ++round_row.delta_count;
    if (std::get<1>(key) < round) ++round_row.late_delta_count;
    const auto weight = static_cast<double>(part.sample_count);
    total.sample_count += part.sample_count;
    total.step_count += part.step_count;
    total.loss += weight * part.loss;
    total.soft_loss += weight * part.soft_loss;
    total.hard_loss += weight * part.hard_loss;
    total.dkd_target_loss += weight * part.dkd_target_loss;
    total.dkd_other_loss += weight * part.dkd_other_loss;
    total.data_wait_seconds += part.data_wait_seconds;
    total.seconds += part.seconds;
    total.teacher_wait_seconds += part.teacher_wait_seconds;
    total.teacher_failover_count += part.teacher_failover_count;
  }
  for (double* const mean : {&total.loss, &total.soft_loss, &total.hard_loss,
                             &total.dkd_target_loss, &total.dkd_other_loss}) {
    *mean /= static_cast<double>(total.sample_count);
  }
  RunRow row = run.row;
  row.completed_rounds = round + 1;
  row.weights_sha256 = sha256;
  if (row.state != RunState::kPaused) row.state_reason.clear();
  if (round_row.delta_count - round_row.late_delta_count < run.spec.training.replicas) {
    row.inexact = true;
  }
  DISTILLERY_RETURN_IF_ERROR(
      record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        DISTILLERY_RETURN_IF_ERROR(record_->Put(round_row));
        if (run.spec.needs_quorum()) {
          for (const RunEntry::TaskKey& key : run.averaged) {
            TaskRow counted = run.tasks.at(key).row;
            counted.counted = true;
            DISTILLERY_RETURN_IF_ERROR(record_->Put(counted));
          }
        }
        DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
        DISTILLERY_FAILPOINT("coordinator.round.recording");
        return absl::OkStatus();
      }));
  DISTILLERY_FAILPOINT("coordinator.round.recorded");
  run.row = row;
  run.rounds.push_back(round_row);
  run.last_round = averaged;
  run.round_began = Now();
  const std::vector<int64_t> dropped = run.CloseRound();
  run.averaged.clear();
  for (const int64_t token : dropped) {
    const LeaseRow* const lease = leases_.Find(token);
    if (lease == nullptr) continue;
    // The round stands on record already; at worst the lease is found open, and ended, at a
    // restart.
    const absl::Status late = record_->Put(EndLease(LeaseRow(*lease), "late"));
    if (!late.ok()) LogError("{}", std::string(late.message()));
  }
  run.MakeTasks();
  CollectGarbage(run);
  Changed(run);
  return absl::OkStatus();
}

absl::StatusOr<WeightsFile> Coordinator::OpenWeights(const std::string& run_id, int64_t round) {
  WeightsFile weights;
  std::string path;
  {
    const RecordLock lock(this);
    DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(run_id));
    if (run->row.weights_sha256.empty()) {
      return absl::FailedPreconditionError(absl::StrCat("run ", run_id, " has no weights yet"));
    }
    if (round == -1) round = run->row.completed_rounds;
    if (round < 0 || round > run->row.completed_rounds) {
      return absl::FailedPreconditionError(absl::StrCat("run ", run_id, ": round ", round,
                                                        " has not begun; the newest is ",
                                                        run->row.completed_rounds));
    }
    if (!run->damage.empty() && !run->RoundsWhole()) {
      return absl::DataLossError(absl::StrCat("run ", run_id, " is damaged: ", run->damage,
                                              "; `coordinator state export` may have its weights"));
    }
    weights.run_id = run_id;
    weights.round = round;
    weights.sha256 = weights.weights_sha256 = run->WeightsSha256(round);
    weights.buffer_names = run->BufferNames();
    weights.model_card = run->row.model_card;
    path = folder_->Weights(run_id, run->FileRound(round));
  }
  // Without the lock: whoever opens it first reads the whole file.
  absl::StatusOr<std::shared_ptr<const BroadcastFile>> file =
      broadcasts_.Open(path, weights.weights_sha256);
  if (!file.ok()) return NoteUnreadable(weights, file.status());
  weights.file = *std::move(file);
  return weights;
}

absl::StatusOr<WeightsLayout> Coordinator::LayoutOf(const std::string& run_id) {
  DISTILLERY_ASSIGN_OR_RETURN(const WeightsFile weights, OpenWeights(run_id, -1));
  const auto tensors = TensorsOf(weights.file);
  if (!tensors.ok()) return NoteUnreadable(weights, tensors.status());
  return tensors->layout();
}

absl::StatusOr<WeightsFile> Coordinator::OpenFloat16Weights(const std::string& run_id,
                                                            int64_t round) {
  DISTILLERY_ASSIGN_OR_RETURN(WeightsFile weights, OpenWeights(run_id, round));
  const std::string path = folder_->Float16Weights(run_id, weights.round, weights.weights_sha256);
  for (bool again = false;; again = true) {
    const auto tensors = TensorsOf(weights.file);
    if (!tensors.ok()) return NoteUnreadable(weights, tensors.status());
    absl::StatusOr<std::string> sha256 =
        encoded_.Make(*tensors, weights.buffer_names, path, folder_->Incoming());
    if (!sha256.ok()) return NoteUnreadable(weights, disk_.Note(sha256.status()));
    auto file = broadcasts_.Open(path, *sha256);
    const bool damaged = absl::IsDataLoss(file.status()) || absl::IsNotFound(file.status());
    if (damaged && !again) {
      encoded_.Forget(path);
      continue;
    }
    if (!file.ok()) return file.status();
    weights.sha256 = *std::move(sha256);
    weights.file = *std::move(file);
    return weights;
  }
}

absl::StatusOr<WeightsFile> Coordinator::OpenUploadedWeights(const std::string& sha256) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("uploaded_sha256", sha256, 64));
  absl::StatusOr<std::shared_ptr<const BroadcastFile>> file =
      broadcasts_.Open(folder_->UploadedWeights(sha256), sha256);
  if (absl::IsNotFound(file.status())) {
    return absl::NotFoundError(absl::StrCat("no weights of SHA-256 ", sha256, " were uploaded"));
  }
  if (!file.ok()) return file.status();
  WeightsFile weights;
  weights.file = *std::move(file);
  weights.sha256 = weights.weights_sha256 = sha256;
  return weights;
}

absl::StatusOr<std::string> Coordinator::PlanWeightsUpload(int64_t byte_count,
                                                           const std::string& sha256) {
  if (sha256.size() != 64 || !CheckName("sha256", sha256, 64).ok()) {
    return absl::InvalidArgumentError("header.sha256 must be 64 hex digits");
  }
  DISTILLERY_RETURN_IF_ERROR(CheckUploadSize(byte_count, options_.max_model_bytes));
  return folder_->Incoming();
}

absl::Status Coordinator::CommitWeightsUpload(const std::string& path, const std::string& sha256) {
  constexpr size_t kMostUploads = 64;
  MutexLock lock(mutex_);
  LimitUploadedWeights(kMostUploads);
  return disk_.Note(RenameDurably(path, folder_->UploadedWeights(sha256)));
}

void Coordinator::LimitUploadedWeights(size_t keep) {
  std::set<std::string> wanted;
  for (const RunEntry* const run : run_order_) {
    // Until W_1 is there, W_0 may have to be made anew.
    if (!Ended(run->row.state) && run->row.completed_rounds == 0) {
      wanted.insert(run->spec.student.initial_weights_sha256);
    }
  }
  folder_->RemoveUploadedWeightsExcept(wanted, keep);
}

}  // namespace distillery

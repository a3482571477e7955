// Coordinator: opening, threads, runs and weights. Tasks and results are in coordinator_tasks.cc.
#include "coordinator/coordinator.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "coordinator/average.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

std::vector<std::string> ParseNames(const std::string& json) {
  return nlohmann::json::parse(json).get<std::vector<std::string>>();
}

constexpr absl::Duration kRetryAfterDiskError = absl::Seconds(2);

}  // namespace

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Open(const Options& options) {
  std::unique_ptr<Coordinator> coordinator(new Coordinator(options));
  DISTILLERY_ASSIGN_OR_RETURN(coordinator->folder_, StateFolder::Open(options.state_dir));
  Record::Contents contents;
  MutexLock lock(coordinator->mutex_);
  DISTILLERY_ASSIGN_OR_RETURN(coordinator->record_,
                              Record::Open(coordinator->folder_->RecordPath(), &contents));
  DISTILLERY_RETURN_IF_ERROR(coordinator->Load(contents));
  return coordinator;
}

absl::Status Coordinator::Load(const Record::Contents& contents) {
  for (const RunRow& row : contents.runs) {
    absl::StatusOr<RunSpec> spec = ParseRunSpec(row.spec_json, absl::StrCat("run ", row.run_id));
    if (!spec.ok()) return absl::DataLossError(spec.status().message());
    auto run = std::make_unique<RunEntry>(row, *std::move(spec));
    run_order_.push_back(run.get());
    runs_[row.run_id] = std::move(run);
  }
  std::sort(run_order_.begin(), run_order_.end(),
            [](const RunEntry* a, const RunEntry* b) { return a->row.number < b->row.number; });
  for (const RoundRow& row : contents.rounds) {
    if (runs_.count(row.run_id) > 0) runs_[row.run_id]->rounds.push_back(row);
  }
  for (const EvaluationRow& row : contents.evaluations) {
    if (runs_.count(row.run_id) > 0) runs_[row.run_id]->evaluations[row.round] = row.metrics;
  }
  for (RunEntry* const run : run_order_) run->MakeTasks();
  for (const TaskRow& row : contents.tasks) {
    if (runs_.count(row.task.run_id) == 0) continue;
    if (row.done) counted_requests_.insert(row.request_id);
    TaskEntry* const task = runs_[row.task.run_id]->Find(row.task);
    if (task != nullptr) task->row = row;
  }
  for (const WorkerRow& row : contents.workers) {
    workers_[row.worker_id] = {row, -absl::InfiniteDuration()};
  }
  for (const LeaseRow& row : contents.leases) {
    leases_.SkipTokens(row.lease.fencing_token);
    if (row.outcome != "active") continue;
    const auto run = runs_.find(row.lease.task.run_id);
    TaskEntry* const task =
        run == runs_.end() ? nullptr : run->second->Find(row.lease.task);
    if (task == nullptr || task->row.done) continue;
    task->token = row.lease.fencing_token;
    leases_.Add(row, Now());
  }
  for (RunEntry* const run : run_order_) {
    if (Ended(run->row.state)) continue;
    DISTILLERY_RETURN_IF_ERROR(folder_->MakeRunFolders(run->row.run_id));
    CollectGarbage(*run);
    DISTILLERY_RETURN_IF_ERROR(Advance(*run));
  }
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
          absl::Duration next = leases_.NextDeadline();
          for (const Waiter& waiter : waiters_) next = std::min(next, waiter.deadline);
          const absl::Duration left = next - Now();
          if (left <= absl::ZeroDuration()) break;
          wake_timer_.WaitFor(mutex_, std::min(left, absl::Seconds(1)));
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

RunView Coordinator::ViewOf(const RunEntry& run) {
  RunView view = run.View(Now());
  view.active_leases = leases_.CountOfRun(run.row.run_id);
  for (const auto& [id, worker] : workers_) {
    if (Now() - worker.last_seen <= options_.lease_duration) ++view.live_workers;
  }
  if (!Ended(view.row.state) && view.row.state_reason.empty() && view.live_workers == 0) {
    view.row.state_reason = "no worker is connected: start student_worker";
  }
  return view;
}

absl::StatusOr<RunView> Coordinator::SubmitRun(const std::string& request_id,
                                               const RunSpec& spec) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_RETURN_IF_ERROR(ValidateRunSpec(spec));
  MutexLock lock(mutex_);
  for (RunEntry* const run : run_order_) {
    if (run->row.request_id == request_id) return ViewOf(*run);
  }
  RunRow row;
  row.run_id = absl::StrCat(spec.name, "-", RandomHex(6));
  row.number = run_order_.empty() ? 1 : run_order_.back()->row.number + 1;
  row.request_id = request_id;
  row.spec_json = RunSpecToJson(spec);
  row.teacher_digest = spec.needs_teacher() ? spec.teacher.digest : "";
  row.submitted_unix_seconds = absl::ToUnixSeconds(options_.clock->WallNow());
  DISTILLERY_RETURN_IF_ERROR(folder_->MakeRunFolders(row.run_id));
  DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
  auto run = std::make_unique<RunEntry>(row, spec);
  run->MakeTasks();
  spdlog::info("run {} accepted: {} rounds of {} replicas", row.run_id, spec.training.rounds,
               spec.training.replicas);
  Changed(*run);
  run_order_.push_back(run.get());
  RunEntry& added = *run;
  runs_[row.run_id] = std::move(run);
  return ViewOf(added);
}

absl::StatusOr<RunView> Coordinator::GetRun(const std::string& run_id) {
  MutexLock lock(mutex_);
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(run_id));
  return ViewOf(*run);
}

absl::StatusOr<std::vector<RoundView>> Coordinator::GetRounds(const std::string& run_id) {
  MutexLock lock(mutex_);
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(run_id));
  std::vector<RoundView> views;
  for (const RoundRow& row : run->rounds) views.push_back(run->ViewRound(row));
  return views;
}

std::vector<RunView> Coordinator::ListRuns(int64_t before, int64_t limit) {
  MutexLock lock(mutex_);
  std::vector<RunView> views;
  for (auto run = run_order_.rbegin(); run != run_order_.rend(); ++run) {
    if (static_cast<int64_t>(views.size()) == limit) break;
    if (before == 0 || (*run)->row.number < before) views.push_back(ViewOf(**run));
  }
  return views;
}

absl::StatusOr<RunView> Coordinator::CancelRun(const std::string& run_id) {
  MutexLock lock(mutex_);
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
  listeners_.emplace(run->row.run_id, listener);
  return absl::OkStatus();
}

absl::Status Coordinator::EndRun(RunEntry& run, RunState state, const std::string& reason) {
  RunRow row = run.row;
  row.state = state;
  row.state_reason = reason;
  DISTILLERY_RETURN_IF_ERROR(record_->Transaction([&]()
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
    for (const LeaseRow& lease : leases_.OfRun(row.run_id)) {
      LeaseRow ended = lease;
      ended.outcome = "cancelled";
      ended.ended_unix_millis = WallMillis();
      DISTILLERY_RETURN_IF_ERROR(record_->Put(ended));
    }
    return absl::OkStatus();
  }));
  for (const LeaseRow& lease : leases_.OfRun(row.run_id)) {
    leases_.Remove(lease.lease.fencing_token);
  }
  run.row = row;
  run.tasks.clear();
  CollectGarbage(run);
  spdlog::info("run {} ended: {}{}{}", row.run_id,
               state == RunState::kSucceeded ? "succeeded" : "not finished",
               reason.empty() ? "" : ": ", reason);
  Changed(run);
  return absl::OkStatus();
}

absl::Status Coordinator::Advance(RunEntry& run) {
  if (Ended(run.row.state)) return absl::OkStatus();
  if (run.ReadyToAverage()) {
    if (!run.averaging) {
      run.averaging = true;
      to_average_.push_back(run.row.run_id);
      wake_averager_.NotifyAll();
    }
    return absl::OkStatus();
  }
  if (run.Complete()) return EndRun(run, RunState::kSucceeded, "");
  return absl::OkStatus();
}

void Coordinator::CollectGarbage(const RunEntry& run) {
  const std::vector<int64_t> evaluations = run.RoundsToEvaluate();
  folder_->RemoveWeightsBefore(run.row.run_id, run.row.completed_rounds + 1 - options_.kept_rounds,
                               {evaluations.begin(), evaluations.end()});
  std::set<std::string> spooled;
  for (const auto& [key, task] : run.tasks) {
    if (task.row.done) spooled.insert(task.row.delta_file);
  }
  folder_->RemoveSpoolExcept(run.row.run_id, spooled);
}

bool Coordinator::AverageNext() {
  AverageRequest request;
  std::string run_id;
  int64_t round = 0;
  std::string weights_path;
  std::string momentum_path;
  {
    MutexLock lock(mutex_);
    if (to_average_.empty() || closing_) return false;
    run_id = to_average_.front();
    to_average_.pop_front();
    RunEntry& run = *runs_.at(run_id);
    if (Ended(run.row.state)) return true;
    round = run.row.completed_rounds;
    for (const auto& [key, task] : run.tasks) {
      if (std::get<0>(key) != TaskKind::kTrain) continue;
      request.deltas.push_back(
          {folder_->Absolute(task.row.delta_file), task.row.metrics.sample_count});
    }
    request.buffer_names = ParseNames(run.row.buffer_names);
    request.outer_optimizer = run.spec.outer.optimizer;
    request.outer_learning_rate = run.spec.outer.learning_rate;
    request.outer_momentum = run.spec.outer.momentum;
  }
  weights_path = folder_->Weights(run_id, round + 1);
  momentum_path = folder_->Momentum(run_id, round + 1);
  const bool nesterov = request.outer_optimizer == "nesterov";
  request.weights_path = folder_->Weights(run_id, round);
  if (nesterov && round > 0) request.momentum_path = folder_->Momentum(run_id, round);
  request.weights_output = folder_->Incoming();
  request.momentum_output = folder_->Incoming();

  const absl::StatusOr<std::string> sha256 = AverageDeltas(request);
  absl::Status status = sha256.status();
  if (status.ok() && nesterov) status = RenameDurably(request.momentum_output, momentum_path);
  if (status.ok()) status = RenameDurably(request.weights_output, weights_path);

  MutexLock lock(mutex_);
  RunEntry& run = *runs_.at(run_id);
  if (Ended(run.row.state)) return true;
  if (status.ok()) status = RecordAverage(run_id, round, *sha256);
  if (status.ok()) {
    run.averaging = false;
    if (const absl::Status advanced = Advance(run); !advanced.ok()) {
      spdlog::error("run {}: {}", run_id, std::string(advanced.message()));
    }
    return true;
  }
  spdlog::error("run {}: averaging round {}: {}", run_id, round, std::string(status.message()));
  // Reasons are shown to clients, which need not know where the folder is.
  const std::string reason =
      absl::StrReplaceAll(status.message(), {{options_.state_dir, "the state folder"}});
  if (absl::IsDataLoss(status) || absl::IsFailedPrecondition(status) || absl::IsNotFound(status)) {
    (void)EndRun(run, RunState::kFailed, absl::StrCat("averaging round ", round, ": ", reason));
    return true;
  }
  // The disk may be full for a while: nothing is lost by trying again.
  run.row.state_reason = absl::StrCat("averaging waits: ", reason);
  to_average_.push_back(run_id);
  Changed(run);
  const absl::Duration until = Now() + kRetryAfterDiskError;
  while (!closing_ && Now() < until) wake_averager_.WaitFor(mutex_, until - Now());
  return true;
}

absl::Status Coordinator::RecordAverage(const std::string& run_id, int64_t round,
                                        const std::string& sha256) {
  RunEntry& run = *runs_.at(run_id);
  RoundRow round_row{run_id, round, sha256, {}};
  TrainMetrics& total = round_row.metrics;
  for (const auto& [key, task] : run.tasks) {
    if (std::get<0>(key) != TaskKind::kTrain) continue;
    const TrainMetrics& part = task.row.metrics;
    const auto weight = static_cast<double>(part.sample_count);
    total.sample_count += part.sample_count;
    total.step_count += part.step_count;
    total.loss += weight * part.loss;
    total.soft_loss += weight * part.soft_loss;
    total.hard_loss += weight * part.hard_loss;
    total.seconds += part.seconds;
    total.teacher_wait_seconds += part.teacher_wait_seconds;
    total.teacher_failover_count += part.teacher_failover_count;
  }
  for (double* const mean : {&total.loss, &total.soft_loss, &total.hard_loss}) {
    *mean /= static_cast<double>(total.sample_count);
  }
  RunRow row = run.row;
  row.completed_rounds = round + 1;
  row.weights_sha256 = sha256;
  row.state_reason.clear();
  DISTILLERY_RETURN_IF_ERROR(record_->Transaction([&]()
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    DISTILLERY_RETURN_IF_ERROR(record_->Put(round_row));
    return record_->Put(row);
  }));
  run.row = row;
  run.rounds.push_back(round_row);
  for (auto task = run.tasks.begin(); task != run.tasks.end();) {
    task = std::get<0>(task->first) == TaskKind::kTrain ? run.tasks.erase(task) : std::next(task);
  }
  run.MakeTasks();
  CollectGarbage(run);
  Changed(run);
  return absl::OkStatus();
}

absl::StatusOr<WeightsFile> Coordinator::OpenWeights(const std::string& run_id, int64_t round) {
  MutexLock lock(mutex_);
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
  WeightsFile weights;
  weights.round = round;
  weights.sha256 = round == 0 ? run->row.initial_weights_sha256
                              : run->rounds[static_cast<size_t>(round) - 1].weights_sha256;
  weights.buffer_names = ParseNames(run->row.buffer_names);
  weights.model_card = run->row.model_card;
  absl::StatusOr<std::unique_ptr<MappedFile>> file =
      MappedFile::Open(folder_->Weights(run_id, round));
  if (absl::IsNotFound(file.status())) {
    return absl::NotFoundError(
        absl::StrCat("run ", run_id, ": weights of round ", round, " are no longer kept"));
  }
  if (!file.ok()) return file.status();
  weights.file = *std::move(file);
  return weights;
}

}  // namespace distillery

// Coordinator: workers, leases and results.
#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "coordinator/coordinator.h"
#include "nlohmann/json.hpp"

namespace distillery {

absl::StatusOr<WorkerRow> Coordinator::RegisterWorker(const std::string& request_id,
                                                      const std::string& name,
                                                      const std::string& fingerprint,
                                                      const std::string& numerics) {
  constexpr size_t kLongestFingerprint = 512;
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_RETURN_IF_ERROR(CheckName("name", name, 128));
  if (fingerprint.size() > kLongestFingerprint) {
    return absl::InvalidArgumentError("numerics_fingerprint is longer than 512 bytes");
  }
  if (numerics != "fastest" && numerics != "portable") {
    return absl::InvalidArgumentError("numerics must be \"fastest\" or \"portable\"");
  }
  MutexLock lock(mutex_);
  for (auto& [id, worker] : workers_) {
    if (worker.row.request_id == request_id) return worker.row;
  }
  WorkerRow row{absl::StrCat("worker-", RandomHex(8)), request_id,
                name, fingerprint, numerics,
                absl::ToUnixSeconds(options_.clock->WallNow())};
  DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
  workers_[row.worker_id] = {row, Now()};
  spdlog::info("{} registered as {}", name, row.worker_id);
  return row;
}

int64_t Coordinator::LeaseTask(const std::string& request_id, const std::string& worker_id,
                               absl::Duration max_wait,
                               std::function<void(absl::StatusOr<LeaseAnswer>)> done) {
  absl::StatusOr<LeaseAnswer> answer = LeaseAnswer{};
  {
    MutexLock lock(mutex_);
    answer = closing_ ? absl::UnavailableError("the coordinator is stopping")
                      : TryLease(request_id, worker_id);
    const bool empty =
        answer.ok() && !answer->grant.has_value() && answer->wanted_numerics.empty();
    if (empty && max_wait > absl::ZeroDuration()) {
      waiters_.push_back(
          {++last_wait_id_, request_id, worker_id, Now() + max_wait, std::move(done)});
      wake_timer_.NotifyAll();
      return last_wait_id_;
    }
  }
  done(std::move(answer));
  return 0;
}

void Coordinator::CancelWait(int64_t wait_id) {
  std::list<Waiter> found;
  {
    MutexLock lock(mutex_);
    const auto waiter = std::find_if(waiters_.begin(), waiters_.end(),
                                     [&](const Waiter& w) { return w.id == wait_id; });
    if (waiter == waiters_.end()) return;
    found.splice(found.begin(), waiters_, waiter);
  }
  found.front().done(absl::CancelledError("the worker gave up waiting"));
}

void Coordinator::Tick() {
  std::vector<std::pair<Waiter, absl::StatusOr<LeaseAnswer>>> answers;
  std::vector<std::shared_ptr<RunListener>> listeners;
  {
    MutexLock lock(mutex_);
    for (const LeaseRow& row : leases_.Expired(Now())) {
      spdlog::warn("lease {} of {} on {} ended by its deadline", row.lease.fencing_token,
                   row.lease.worker_id, row.lease.task.ToString());
      const absl::Status status = LoseLease(row, "expired");
      if (!status.ok()) spdlog::error("{}", std::string(status.message()));
    }
    for (auto waiter = waiters_.begin(); waiter != waiters_.end();) {
      absl::StatusOr<LeaseAnswer> answer = TryLease(waiter->request_id, waiter->worker_id);
      const bool empty =
          answer.ok() && !answer->grant.has_value() && answer->wanted_numerics.empty();
      if (empty && Now() < waiter->deadline) {
        ++waiter;
        continue;
      }
      answers.emplace_back(std::move(*waiter), std::move(answer));
      waiter = waiters_.erase(waiter);
    }
    for (const std::string& run_id : changed_) {
      const auto [first, last] = listeners_.equal_range(run_id);
      for (auto entry = first; entry != last;) {
        if (auto listener = entry->second.lock()) {
          listeners.push_back(std::move(listener));
          ++entry;
        } else {
          entry = listeners_.erase(entry);
        }
      }
    }
    changed_.clear();
  }
  for (auto& [waiter, answer] : answers) waiter.done(std::move(answer));
  for (const auto& listener : listeners) listener->OnRunChanged();
}

absl::StatusOr<LeaseAnswer> Coordinator::TryLease(const std::string& request_id,
                                                  const std::string& worker_id) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_RETURN_IF_ERROR(CheckName("worker_id", worker_id, 128));
  const auto found = workers_.find(worker_id);
  if (found == workers_.end()) {
    return absl::NotFoundError("worker_id is not known: register again");
  }
  WorkerEntry& worker = found->second;
  worker.last_seen = Now();
  LeaseAnswer answer;
  if (const LeaseRow* const held = leases_.FindByWorker(worker_id)) {
    if (held->request_id == request_id) {
      // The answer was lost on its way: the same lease again.
      answer.grant = Describe(*runs_.at(held->lease.task.run_id), held->lease);
      return answer;
    }
    DISTILLERY_RETURN_IF_ERROR(LoseLease(LeaseRow(*held), "abandoned"));
  }
  std::vector<std::pair<int64_t, RunEntry*>> candidates;
  for (RunEntry* const run : run_order_) {
    if (!Ended(run->row.state)) candidates.emplace_back(leases_.CountOfRun(run->row.run_id), run);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [count, run] : candidates) {
    TaskEntry* const task = run->NextFree();
    if (task == nullptr || !Fits(*run, worker, &answer.wanted_numerics)) continue;
    DISTILLERY_ASSIGN_OR_RETURN(answer.grant, Grant(*run, *task, worker, request_id));
    answer.wanted_numerics.clear();
    return answer;
  }
  return answer;
}

bool Coordinator::Fits(const RunEntry& run, const WorkerEntry& worker, std::string* wanted) {
  if (worker.row.numerics != run.spec.numerics) {
    *wanted = run.spec.numerics;
    return false;
  }
  const std::string& bound = run.row.numerics_fingerprint;
  return !run.spec.exact || bound.empty() || bound == worker.row.numerics_fingerprint;
}

absl::StatusOr<TaskGrant> Coordinator::Grant(RunEntry& run, TaskEntry& task,
                                             const WorkerEntry& worker,
                                             const std::string& request_id) {
  LeaseRow row;
  row.lease = {task.row.task, leases_.NextToken(), worker.row.worker_id};
  row.request_id = request_id;
  row.granted_unix_millis = WallMillis();
  RunRow run_row = run.row;
  if (task.row.task.kind == TaskKind::kTrain) {
    if (run_row.numerics_fingerprint.empty()) {
      run_row.numerics_fingerprint = worker.row.numerics_fingerprint;
    } else if (run_row.numerics_fingerprint != worker.row.numerics_fingerprint) {
      if (!run_row.inexact) {
        spdlog::warn("run {} is inexact from here: {} computes with \"{}\", others with \"{}\"",
                     run_row.run_id, worker.row.name, worker.row.numerics_fingerprint,
                     run_row.numerics_fingerprint);
      }
      run_row.inexact = true;
    }
  }
  DISTILLERY_RETURN_IF_ERROR(record_->Transaction([&]()
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
    return record_->Put(run_row);
  }));
  run.row = run_row;
  task.token = row.lease.fencing_token;
  leases_.Add(row, Now());
  if (run.spec.training.rounds > 0 && run.rounds.empty()) run.NoteSamples(0, Now());
  Changed(run);
  return Describe(run, row.lease);
}

TaskGrant Coordinator::Describe(const RunEntry& run, const Lease& lease) {
  TaskGrant grant;
  grant.lease = lease;
  grant.spec = run.spec;
  if (lease.task.kind != TaskKind::kInitialise) {
    grant.weights_sha256 =
        lease.task.round == 0
            ? run.row.initial_weights_sha256
            : run.rounds[static_cast<size_t>(lease.task.round) - 1].weights_sha256;
  }
  grant.expected_teacher_digest = run.row.teacher_digest;
  grant.expected_dataset_digest = run.row.dataset_digest;
  return grant;
}

LeaseRow Coordinator::EndLease(const LeaseRow& row, const std::string& outcome) {
  LeaseRow ended = row;
  ended.outcome = outcome;
  ended.ended_unix_millis = WallMillis();
  leases_.Remove(row.lease.fencing_token);
  const auto run = runs_.find(row.lease.task.run_id);
  if (run != runs_.end()) {
    TaskEntry* const task = run->second->Find(row.lease.task);
    if (task != nullptr && task->token == row.lease.fencing_token) task->token = 0;
    Changed(*run->second);
  }
  return ended;
}

absl::Status Coordinator::LoseLease(const LeaseRow& row, const std::string& outcome) {
  const LeaseRow ended = EndLease(row, outcome);
  const auto run = runs_.find(row.lease.task.run_id);
  return record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    DISTILLERY_RETURN_IF_ERROR(record_->Put(ended));
    if (run == runs_.end()) return absl::OkStatus();
    ++run->second->row.lost_leases;
    return record_->Put(run->second->row);
  });
}

absl::StatusOr<LeaseRow> Coordinator::CheckLease(const Lease& lease) {
  const LeaseRow* const row = leases_.Find(lease.fencing_token);
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

absl::Status Coordinator::RenewLease(const Lease& lease, int64_t /*sample_count*/,
                                     const std::string& waiting_for) {
  constexpr size_t kLongestReason = 300;
  MutexLock lock(mutex_);
  DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow row, CheckLease(lease));
  leases_.Renew(row.lease.fencing_token, Now());
  const auto worker = workers_.find(lease.worker_id);
  if (worker != workers_.end()) worker->second.last_seen = Now();
  RunEntry& run = *runs_.at(lease.task.run_id);
  if (run.waiting_for != waiting_for) {
    run.waiting_for = waiting_for.substr(0, kLongestReason);
    Changed(run);
  }
  return absl::OkStatus();
}

absl::Status Coordinator::ReleaseTask(const Lease& lease, bool failed, const std::string& message,
                                      const std::string& request_id) {
  constexpr size_t kLongestMessage = 1000;
  MutexLock lock(mutex_);
  if (!request_id.empty() && counted_requests_.count(request_id) > 0) return absl::OkStatus();
  DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow row, CheckLease(lease));
  RunEntry& run = *runs_.at(lease.task.run_id);
  TaskEntry* const task = run.Find(lease.task);
  const LeaseRow ended = EndLease(row, failed ? "failed" : "released");
  if (failed && task != nullptr) ++task->row.failures;
  DISTILLERY_RETURN_IF_ERROR(record_->Transaction([&]()
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    DISTILLERY_RETURN_IF_ERROR(record_->Put(ended));
    return failed && task != nullptr ? record_->Put(task->row) : absl::OkStatus();
  }));
  if (!request_id.empty()) counted_requests_.insert(request_id);
  if (!failed || task == nullptr) return absl::OkStatus();
  const std::string reason = absl::StrCat(lease.task.ToString(), " failed: ",
                                          message.substr(0, kLongestMessage));
  spdlog::warn("{} (failure {})", reason, task->row.failures);
  if (task->row.failures >= options_.max_task_failures) {
    return EndRun(run, RunState::kFailed, reason);
  }
  return absl::OkStatus();
}

absl::StatusOr<Coordinator::Standing> Coordinator::CheckResult(const std::string& request_id,
                                                               const Lease& lease) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(lease.task.run_id));
  const TaskId& id = lease.task;
  if (id.kind != TaskKind::kInitialise && id.round > run->row.completed_rounds) {
    return absl::FailedPreconditionError(
        absl::StrCat("round ", id.round, " has not begun; run ", id.run_id, " is in round ",
                     run->row.completed_rounds));
  }
  TaskEntry* const task = run->Find(id);
  if (task != nullptr && task->row.done && task->row.request_id == request_id) {
    return Standing::kDuplicate;
  }
  absl::StatusOr<LeaseRow> active = CheckLease(lease);
  if (active.ok()) return Standing::kOpen;
  // The task may be closed because this very result was counted.
  if (absl::IsAborted(active.status()) && counted_requests_.count(request_id) > 0) {
    return Standing::kDuplicate;
  }
  return active.status();
}

absl::Status Coordinator::CheckDigests(const RunEntry& run, const UploadHeader& header) {
  for (const auto& [name, bound, got] :
       {std::make_tuple("teacher", &run.row.teacher_digest, &header.teacher_digest),
        std::make_tuple("dataset", &run.row.dataset_digest, &header.dataset_digest)}) {
    if (!bound->empty() && !got->empty() && *bound != *got) {
      return absl::FailedPreconditionError(absl::StrCat("run ", run.row.run_id, " is bound to ",
                                                        name, " digest ", *bound, ", got ", *got));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Coordinator::UploadPlan> Coordinator::PlanUpload(const UploadHeader& header) {
  constexpr size_t kLongestCard = 64 << 10;
  MutexLock lock(mutex_);
  const TaskId& task = header.lease.task;
  DISTILLERY_ASSIGN_OR_RETURN(const Standing standing,
                              CheckResult(header.request_id, header.lease));
  UploadPlan plan;
  if (standing == Standing::kDuplicate) {
    plan.duplicate = true;
    return plan;
  }
  if (task.kind == TaskKind::kEvaluate) {
    return absl::InvalidArgumentError("lease.kind: evaluations go through ReportEvaluation");
  }
  if (header.byte_count < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("byte_count must be above 0, got ", header.byte_count));
  }
  if (header.byte_count > options_.max_model_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("byte_count ", header.byte_count,
                                                     " is over the limit of ",
                                                     options_.max_model_bytes));
  }
  if (header.model_card.size() > kLongestCard) {
    return absl::ResourceExhaustedError("model_card is over 64 KiB");
  }
  if (task.kind == TaskKind::kTrain && header.metrics.sample_count < 1) {
    return absl::InvalidArgumentError("metrics.sample_count must be above 0");
  }
  DISTILLERY_RETURN_IF_ERROR(CheckDigests(*runs_.at(task.run_id), header));
  plan.incoming_path = folder_->Incoming();
  plan.max_bytes = header.byte_count;
  if (task.kind == TaskKind::kTrain) {
    plan.expected_layout_path = folder_->Weights(task.run_id, task.round);
  }
  return plan;
}

absl::StatusOr<bool> Coordinator::CommitUpload(const UploadHeader& header, const std::string& path,
                                               const std::string& sha256) {
  const TaskId& id = header.lease.task;
  const bool initialise = id.kind == TaskKind::kInitialise;
  const std::string spool_name = folder_->SpoolName(header.lease);
  const std::string target =
      initialise ? folder_->Weights(id.run_id, 0) : folder_->Absolute(spool_name);
  MutexLock lock(mutex_);
  DISTILLERY_ASSIGN_OR_RETURN(const Standing standing,
                              CheckResult(header.request_id, header.lease));
  if (standing == Standing::kDuplicate) return true;
  RunEntry& run = *runs_.at(id.run_id);
  DISTILLERY_RETURN_IF_ERROR(CheckDigests(run, header));
  DISTILLERY_RETURN_IF_ERROR(RenameDurably(path, target));
  DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow active, CheckLease(header.lease));
  TaskRow task_row = run.Find(id)->row;
  task_row.done = true;
  task_row.request_id = header.request_id;
  task_row.worker_id = header.lease.worker_id;
  task_row.delta_file = initialise ? "" : spool_name;
  task_row.delta_sha256 = sha256;
  task_row.metrics = header.metrics;
  RunRow run_row = run.row;
  if (run_row.teacher_digest.empty()) run_row.teacher_digest = header.teacher_digest;
  if (run_row.dataset_digest.empty()) run_row.dataset_digest = header.dataset_digest;
  if (initialise) {
    run_row.state = RunState::kRunning;
    run_row.initial_weights_sha256 = sha256;
    run_row.weights_sha256 = sha256;
    run_row.model_card = header.model_card;
    run_row.buffer_names = nlohmann::json(header.buffer_names).dump();
  }
  LeaseRow lease_row = active;
  lease_row.outcome = "done";
  lease_row.ended_unix_millis = WallMillis();
  DISTILLERY_RETURN_IF_ERROR(record_->Transaction([&]()
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    DISTILLERY_RETURN_IF_ERROR(record_->Put(task_row));
    DISTILLERY_RETURN_IF_ERROR(record_->Put(lease_row));
    return record_->Put(run_row);
  }));
  EndLease(active, "done");
  counted_requests_.insert(header.request_id);
  run.row = run_row;
  run.waiting_for.clear();
  run.Find(id)->row = task_row;
  if (initialise) {
    run.tasks.erase(RunEntry::KeyOf(id));
    run.MakeTasks();
  } else {
    run.NoteSamples(header.metrics.sample_count, Now());
  }
  Changed(run);
  DISTILLERY_RETURN_IF_ERROR(Advance(run));
  return false;
}

absl::StatusOr<bool> Coordinator::ReportEvaluation(const std::string& request_id,
                                                   const Lease& lease,
                                                   const EvaluationMetrics& metrics) {
  if (lease.task.kind != TaskKind::kEvaluate) {
    return absl::InvalidArgumentError("lease.kind must be evaluate");
  }
  if (metrics.sample_count < 1 || metrics.correct_count < 0 ||
      metrics.correct_count > metrics.sample_count) {
    return absl::InvalidArgumentError("metrics: correct_count must be 0 to sample_count");
  }
  MutexLock lock(mutex_);
  DISTILLERY_ASSIGN_OR_RETURN(const Standing standing, CheckResult(request_id, lease));
  if (standing == Standing::kDuplicate) return true;
  RunEntry& run = *runs_.at(lease.task.run_id);
  DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow active, CheckLease(lease));
  TaskRow task_row = run.Find(lease.task)->row;
  task_row.done = true;
  task_row.request_id = request_id;
  task_row.worker_id = lease.worker_id;
  LeaseRow lease_row = active;
  lease_row.outcome = "done";
  lease_row.ended_unix_millis = WallMillis();
  DISTILLERY_RETURN_IF_ERROR(record_->Transaction([&]()
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    DISTILLERY_RETURN_IF_ERROR(
        record_->Put(EvaluationRow{run.row.run_id, lease.task.round, metrics}));
    DISTILLERY_RETURN_IF_ERROR(record_->Put(lease_row));
    return record_->Put(task_row);
  }));
  EndLease(active, "done");
  counted_requests_.insert(request_id);
  run.evaluations[lease.task.round] = metrics;
  run.tasks.erase(RunEntry::KeyOf(lease.task));
  CollectGarbage(run);
  Changed(run);
  DISTILLERY_RETURN_IF_ERROR(Advance(run));
  return false;
}

}  // namespace distillery

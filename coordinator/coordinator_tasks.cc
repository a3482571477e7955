// Coordinator: workers, leases and results.
#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/run/evaluation_metrics.h"
#include "common/run/sample_plan.h"
#include "coordinator/coordinator.h"
#include "coordinator/request_ledger.h"
#include "coordinator/upload_size.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// A slower worker's result is compared for so many lease durations after the faster one's.
constexpr int kCompareWithin = 10;

// Longer than what names a thing, and than any that there is.
constexpr size_t kLongestDigest = 128;

}  // namespace

absl::StatusOr<WorkerRow> Coordinator::RegisterWorker(const std::string& request_id,
                                                      const std::string& name,
                                                      const std::string& fingerprint,
                                                      const std::string& numerics,
                                                      const WorkerFacts& facts) {
  constexpr size_t kLongestFingerprint = 512;
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_RETURN_IF_ERROR(CheckName("name", name, 128));
  if (fingerprint.size() > kLongestFingerprint) {
    return absl::InvalidArgumentError("numerics_fingerprint is longer than 512 bytes");
  }
  if (numerics != "fastest" && numerics != "portable") {
    return absl::InvalidArgumentError("numerics must be \"fastest\" or \"portable\"");
  }
  if (facts.memory_bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("memory_bytes must be >= 0, got ", facts.memory_bytes));
  }
  const RecordLock lock(this);
  for (const WorkerEntry* const worker : workers_.OfRequest(request_id)) {
    const WorkerRow& known = worker->row;
    // Registered before callers had certificates: nobody can act as that one, see CheckCaller.
    if (known.certificate.empty() && !facts.certificate.empty()) continue;
    if (known.name != name || known.numerics_fingerprint != fingerprint ||
        known.numerics != numerics || known.certificate != facts.certificate) {
      return RequestLedger::OtherRequest(request_id);
    }
    return known;
  }
  WorkerRow row{absl::StrCat("worker-", RandomHex(8)),
                request_id,
                name,
                fingerprint,
                numerics,
                absl::ToUnixSeconds(options_.clock->WallNow()),
                facts.certificate,
                facts.memory_bytes};
  DISTILLERY_RETURN_IF_ERROR(ForgetWorkers(1));
  DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
  workers_.Add(row, Now());
  LogInfo("{} registered as {}", name, row.worker_id);
  return row;
}

absl::Status Coordinator::CheckCaller(const std::string& worker_id,
                                      const std::string& certificate) {
  if (certificate.empty()) return absl::OkStatus();
  MutexLock lock(mutex_);
  const WorkerEntry* const found = workers_.Find(worker_id);
  // Nobody can say who registered without a certificate.
  if (found == nullptr || found->row.certificate.empty()) {
    DISTILLERY_RETURN_IF_ERROR(CheckName("worker_id", worker_id, 128));
    return absl::NotFoundError("worker_id is not known: register again");
  }
  if (found->row.certificate == certificate) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "worker ", worker_id, " was not registered with the certificate of \"", certificate, "\""));
}

int64_t Coordinator::LeaseTask(const std::string& request_id, const std::string& worker_id,
                               absl::Duration max_wait,
                               std::function<void(absl::StatusOr<LeaseAnswer>)> done) {
  absl::StatusOr<LeaseAnswer> answer = LeaseAnswer{};
  {
    const RecordLock lock(this);
    answer = closing_ ? absl::UnavailableError("the coordinator is stopping")
                      : TryLease(request_id, worker_id);
    const bool empty = answer.ok() && !answer->grant.has_value() && answer->wanted_numerics.empty();
    const int64_t waits =
        std::count_if(waiters_.begin(), waiters_.end(),
                      [&](const Waiter& waiter) { return waiter.worker_id == worker_id; });
    if (empty && max_wait > absl::ZeroDuration() && waits >= options_.max_waits_per_worker) {
      statistics_.Add(Count::kRefusedWaits);
      answer = absl::ResourceExhaustedError(
          absl::StrCat("worker ", worker_id, " has ", waits, " LeaseTask calls waiting already"));
    } else if (empty && max_wait > absl::ZeroDuration()) {
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
    disk_.Probe();
    const RecordLock lock(this);
    FollowDisk();
    // The end of a lease must be recorded, so none ends while that cannot be.
    const bool full = disk_.full();
    for (const LeaseRow& row : full ? std::vector<LeaseRow>() : leases_.Expired(Now())) {
      // A run that pauses for one takes back its others.
      if (leases_.Find(row.lease.fencing_token) == nullptr) continue;
      const absl::Status status = LoseLease(row, "expired");
      if (!status.ok()) LogError("{}", std::string(status.message()));
    }
    for (const LeaseRow& row :
         full ? std::vector<LeaseRow>() : leases_.Stalled(options_.stall_limit, Now())) {
      if (leases_.Find(row.lease.fencing_token) == nullptr) continue;
      LogWarning("lease {} of {} on {} ended: renewed, but no progress in {}",
                 row.lease.fencing_token, row.lease.worker_id, row.lease.task.ToString(),
                 absl::FormatDuration(options_.stall_limit));
      const absl::Status status = LoseLease(row, "stalled");
      if (!status.ok()) LogError("{}", std::string(status.message()));
    }
    for (auto old = superseded_.begin(); old != superseded_.end();) {
      old = old->second.until <= Now() ? superseded_.erase(old) : std::next(old);
    }
    if (!full) AdvanceOverdueRuns();
    offered_ = Now();
    // Where one found nothing, others that are started alike need not look, unless a task that
    // failed on one may be done by another.
    const bool any_failed =
        !waiters_.empty() &&
        std::any_of(run_order_.begin(), run_order_.end(), [](const RunEntry* run) {
          return std::any_of(run->tasks.begin(), run->tasks.end(),
                             [](const auto& task) { return task.second.row.failures > 0; });
        });
    std::set<std::pair<std::string, std::string>> idle;
    for (auto waiter = waiters_.begin(); waiter != waiters_.end();) {
      const bool over = Now() >= waiter->deadline;
      const WorkerEntry* const worker = workers_.Find(waiter->worker_id);
      const auto kind = worker == nullptr ? std::pair<std::string, std::string>()
                                          : std::pair(worker->row.numerics,
                                                      absl::StrCat(worker->row.numerics_fingerprint,
                                                                   " ", worker->row.memory_bytes));
      // A call that has waited since before its worker got a task does not ask for another: only a
      // later one gives the task up.
      const LeaseRow* const held = leases_.FindByWorker(waiter->worker_id);
      const bool has_task = held != nullptr && held->request_id != waiter->request_id;
      if (!over && (has_task || idle.count(kind) > 0)) {
        ++waiter;
        continue;
      }
      absl::StatusOr<LeaseAnswer> answer =
          has_task ? LeaseAnswer{} : TryLease(waiter->request_id, waiter->worker_id);
      const bool empty =
          answer.ok() && !answer->grant.has_value() && answer->wanted_numerics.empty();
      if (empty && !over) {
        if (!any_failed && !(worker != nullptr && Rests(*worker))) idle.insert(kind);
        ++waiter;
        continue;
      }
      answers.emplace_back(std::move(*waiter), std::move(answer));
      waiter = waiters_.erase(waiter);
    }
    for (auto changed = changed_.begin(); changed != changed_.end();) {
      const std::string& run_id = *changed;
      const auto run = runs_.find(run_id);
      if (run != runs_.end()) {
        if (Now() < TellAfter(*run->second)) {
          ++changed;
          continue;
        }
        run->second->told = Now();
      }
      const auto [first, last] = listeners_.equal_range(run_id);
      for (auto entry = first; entry != last;) {
        if (auto listener = entry->second.lock()) {
          listeners.push_back(std::move(listener));
          ++entry;
        } else {
          entry = listeners_.erase(entry);
        }
      }
      changed = changed_.erase(changed);
    }
  }
  for (auto& [waiter, answer] : answers) waiter.done(std::move(answer));
  for (const auto& listener : listeners) listener->OnRunChanged();
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
        LogWarning("run {} is inexact from here: {} computes with \"{}\", others with \"{}\"",
                   run_row.run_id, worker.row.name, worker.row.numerics_fingerprint,
                   run_row.numerics_fingerprint);
      }
      run_row.inexact = true;
    }
  }
  DISTILLERY_RETURN_IF_ERROR(
      record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        DISTILLERY_RETURN_IF_ERROR(record_->Put(row));
        return record_->Put(run_row);
      }));
  DISTILLERY_FAILPOINT("coordinator.lease.granted");
  run.row = run_row;
  task.tokens.push_back(row.lease.fencing_token);
  leases_.Add(row, Now());
  statistics_.Add(Count::kLeasesGranted, std::string(TaskKindName(task.row.task.kind)));
  if (run.spec.training.rounds > 0 && run.rounds.empty()) run.NoteSamples(0, Now());
  Changed(run);
  return Describe(run, row.lease);
}

TaskGrant Coordinator::Describe(const RunEntry& run, const Lease& lease) {
  TaskGrant grant;
  grant.lease = lease;
  grant.spec = run.spec;
  if (lease.task.kind != TaskKind::kInitialise) {
    grant.weights_sha256 = run.WeightsSha256(lease.task.round);
    grant.model_card_sha256 = Sha256Hex(run.row.model_card);
  }
  grant.expected_teacher_digest = run.row.teacher_digest;
  grant.expected_dataset_digest = run.row.dataset_digest;
  return grant;
}

LeaseRow Coordinator::EndLease(const LeaseRow& row, const std::string& outcome) {
  LeaseRow ended = row;
  ended.outcome = outcome;
  ended.ended_unix_millis = WallMillis();
  if (leases_.Find(row.lease.fencing_token) != nullptr) {
    share_.Charge(row.lease.task.run_id, leases_.Age(row.lease.fencing_token, Now()));
  }
  leases_.Remove(row.lease.fencing_token);
  statistics_.Add(Count::kLeasesEnded, outcome);
  if (WorkerEntry* const worker = workers_.Find(row.lease.worker_id)) {
    worker->pace.NoteEnd(outcome, Now());
    if (outcome == "done") ++worker->done_tasks;
    if (outcome == "expired" || outcome == "stalled") ++worker->lost_leases;
  }
  const auto run = runs_.find(row.lease.task.run_id);
  if (run != runs_.end()) {
    TaskEntry* const task = run->second->Find(row.lease.task);
    if (task != nullptr) {
      auto& tokens = task->tokens;
      tokens.erase(std::remove(tokens.begin(), tokens.end(), row.lease.fencing_token),
                   tokens.end());
    }
    Changed(*run->second);
  }
  return ended;
}

absl::Status Coordinator::LoseLease(const LeaseRow& row, const std::string& outcome) {
  // The record first: a lease that is over here and active there would come back with a restart.
  LeaseRow ended = row;
  ended.outcome = outcome;
  ended.ended_unix_millis = WallMillis();
  const auto run = runs_.find(row.lease.task.run_id);
  TaskEntry* const task = run == runs_.end() ? nullptr : run->second->Find(row.lease.task);
  const bool failed = task != nullptr && outcome == "abandoned";
  TaskEntry changed = task == nullptr ? TaskEntry() : *task;
  if (failed) changed.NoteFailure(row.lease.worker_id);
  // One that was given before a restart may have been lost with the coordinator's machine.
  const bool evidence = task != nullptr && (outcome == "expired" || outcome == "stalled") &&
                        !leases_.Recovered(row.lease.fencing_token);
  DISTILLERY_RETURN_IF_ERROR(
      record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        DISTILLERY_RETURN_IF_ERROR(record_->Put(ended));
        if (failed) DISTILLERY_RETURN_IF_ERROR(record_->Put(changed.row));
        if (run == runs_.end()) return absl::OkStatus();
        if (evidence) {
          TaskRow task_row = task->row;
          ++task_row.losses;
          DISTILLERY_RETURN_IF_ERROR(record_->Put(task_row));
        }
        RunRow run_row = run->second->row;
        ++run_row.lost_leases;
        return record_->Put(run_row);
      }));
  if (run != runs_.end()) ++run->second->row.lost_leases;
  if (evidence) ++task->row.losses;
  EndLease(row, outcome);
  if (failed) task->row = changed.row;
  statistics_.Note({"lease_lost", row.lease.task.run_id, row.lease.task, row.lease.worker_id,
                    absl::StrCat("lease ", row.lease.fencing_token, " ", outcome)});
  if (failed) {
    return NoteFailure(row.lease,
                       "its worker asked for another task without a result of this one or "
                       "a reason; see that worker's log");
  }
  if (!evidence || task->row.losses < options_.max_task_losses) return absl::OkStatus();
  const WorkerEntry* const worker = workers_.Find(row.lease.worker_id);
  return Pause(*run->second,
               absl::StrCat(row.lease.task.ToString(), ": ", task->row.losses,
                            " times its worker was lost, the last was ",
                            worker == nullptr ? row.lease.worker_id : worker->row.name,
                            " (its lease has ", outcome,
                            "): it may end them, or need more memory than they have; look at their "
                            "logs, then resume the run"));
}

bool Coordinator::HasMemory(const RunEntry& run, const TaskEntry& task, const WorkerEntry& worker) {
  return task.row.task.kind != TaskKind::kTrain || worker.row.memory_bytes == 0 ||
         run.TrainingBytes() <= worker.row.memory_bytes;
}

std::string Coordinator::MemoryProblem(const RunEntry& run) {
  int64_t most = 0;
  std::string name;
  for (const WorkerEntry* const worker : workers_.HeardSince(AliveSince())) {
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

absl::Status Coordinator::RenewLease(const Lease& lease, int64_t sample_count,
                                     const std::string& waiting_for) {
  constexpr size_t kLongestReason = 300;
  if (sample_count < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("sample_count must be >= 0, got ", sample_count));
  }
  const std::string reason = CutText(PlainText(waiting_for), kLongestReason);
  MutexLock lock(mutex_);
  DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow row, CheckLease(lease));
  leases_.Renew(row.lease.fencing_token, sample_count, !waiting_for.empty(), Now());
  if (WorkerEntry* const worker = workers_.Find(lease.worker_id)) workers_.Touch(worker, Now());
  RunEntry& run = *runs_.at(lease.task.run_id);
  if (run.waiting_for != reason) {
    run.waiting_for = reason;
    Changed(run);
  }
  return absl::OkStatus();
}

absl::Status Coordinator::ReleaseTask(const Lease& lease, bool failed, const std::string& message,
                                      const std::string& request_id) {
  const RecordLock lock(this);
  if (!request_id.empty() && counted_requests_.count(request_id) > 0) return absl::OkStatus();
  DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow row, CheckLease(lease));
  RunEntry& run = *runs_.at(lease.task.run_id);
  TaskEntry* const task = run.Find(lease.task);
  LeaseRow ended = row;
  ended.outcome = failed ? "failed" : "released";
  ended.ended_unix_millis = WallMillis();
  TaskEntry changed = task == nullptr ? TaskEntry() : *task;
  if (failed) changed.NoteFailure(lease.worker_id);
  DISTILLERY_RETURN_IF_ERROR(
      record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        DISTILLERY_RETURN_IF_ERROR(record_->Put(ended));
        return failed && task != nullptr ? record_->Put(changed.row) : absl::OkStatus();
      }));
  EndLease(row, ended.outcome);
  if (task != nullptr) task->row = changed.row;
  if (!request_id.empty()) counted_requests_.insert(request_id);
  return failed && task != nullptr ? NoteFailure(lease, message) : absl::OkStatus();
}

absl::Status Coordinator::NoteFailure(const Lease& lease, const std::string& why) {
  constexpr size_t kLongestReason = 1000;
  RunEntry& run = *runs_.at(lease.task.run_id);
  const TaskEntry& task = *run.Find(lease.task);
  const std::string reason =
      absl::StrCat(lease.task.ToString(), " failed: ", CutText(PlainText(why), kLongestReason));
  statistics_.Note({"task_failed", lease.task.run_id, lease.task, lease.worker_id,
                    absl::StrCat(reason, " (failure ", task.row.failures, ")")});
  const int64_t needed =
      std::min(options_.max_task_failures, std::max<int64_t>(1, CountLiveWorkers()));
  return task.row.failures >= options_.max_task_failures && task.failed_worker_count() >= needed
             ? Pause(run, reason)
             : absl::OkStatus();
}

absl::StatusOr<Coordinator::Standing> Coordinator::CheckResult(const std::string& request_id,
                                                               const Lease& lease) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(lease.task.run_id));
  const TaskId& id = lease.task;
  if (id.kind != TaskKind::kInitialise && id.round > run->row.completed_rounds) {
    return absl::FailedPreconditionError(absl::StrCat("round ", id.round, " has not begun; run ",
                                                      id.run_id, " is in round ",
                                                      run->row.completed_rounds));
  }
  TaskEntry* const task = run->Find(id);
  if (task != nullptr && task->row.done && task->row.request_id == request_id) {
    return Standing::kDuplicate;
  }
  if (id.kind == TaskKind::kTrain && id.round == run->row.completed_rounds && run->averaging &&
      !run->damaged &&  // else it is the round before that is averaged, once more
      run->spec.sync.late_deltas != "weight" && run->averaged.count(RunEntry::KeyOf(id)) == 0) {
    return absl::AbortedError(
        absl::StrCat("round ", id.round, " is closed: a quorum was in, drop the task"));
  }
  const auto superseded = superseded_.find(lease.fencing_token);
  if (superseded != superseded_.end() && superseded->second.lease.task == id &&
      superseded->second.lease.worker_id == lease.worker_id) {
    return Standing::kSuperseded;
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
  absl::StatusOr<UploadPlan> plan = PlaceUpload(header);
  if (plan.ok() && !plan->duplicate && header.lease.task.kind == TaskKind::kTrain) {
    if (const absl::Status figures = CheckFigures(header); !figures.ok()) plan = figures;
  }
  if (absl::IsInvalidArgument(plan.status())) {
    NoteBadResult(header.lease, "figures", plan.status());
  }
  return plan;
}

absl::Status Coordinator::CheckFigures(const UploadHeader& header) {
  // Of a run that began before sizes of shards were recorded.
  constexpr int64_t kMostSamples = int64_t{1} << 40;
  const TaskId& task = header.lease.task;
  const int64_t claimed = header.metrics.sample_count;
  DISTILLERY_RETURN_IF_ERROR(CheckTraining(header.metrics));
  std::shared_ptr<const SamplePlan> plan;
  {
    MutexLock lock(mutex_);
    DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, FindRun(task.run_id));
    plan = run->samples;
  }
  if (plan == nullptr) {
    if (claimed <= kMostSamples) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("metrics.sample_count must be 1 to ", kMostSamples, ", got ", claimed));
  }
  // Without the lock: a plan of many epochs takes a while.
  const int64_t planned = plan->SampleCount(task.round, task.replica);
  if (claimed == planned) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("metrics.sample_count: ", task.ToString(), " has ",
                                                 planned, " samples, got ", claimed));
}

absl::StatusOr<Coordinator::UploadPlan> Coordinator::PlaceUpload(const UploadHeader& header) {
  constexpr size_t kLongestCard = 64 << 10;
  constexpr size_t kLongestNames = 1 << 20;
  const RecordLock lock(this);
  const TaskId& task = header.lease.task;
  DISTILLERY_ASSIGN_OR_RETURN(const Standing standing,
                              CheckResult(header.request_id, header.lease));
  UploadPlan plan;
  if (standing == Standing::kDuplicate) {
    statistics_.Add(Count::kUploadsDuplicate);
    plan.duplicate = true;
    return plan;
  }
  if (task.kind == TaskKind::kEvaluate) {
    return absl::InvalidArgumentError("lease.kind: evaluations go through ReportEvaluation");
  }
  DISTILLERY_RETURN_IF_ERROR(CheckUploadSize(header.byte_count, options_.max_model_bytes));
  if (header.model_card.size() > kLongestCard) {
    // Not RESOURCE_EXHAUSTED, which a worker takes for a full disk and waits out.
    return absl::FailedPreconditionError("model_card is over 64 KiB");
  }
  size_t name_bytes = 0;
  for (const std::string& name : header.buffer_names) name_bytes += name.size() + 1;
  if (name_bytes > kLongestNames) {
    return absl::FailedPreconditionError("buffer_names are over 1 MiB");
  }
  for (const auto& [name, digest] : {std::pair("teacher_digest", &header.teacher_digest),
                                     std::pair("dataset_digest", &header.dataset_digest)}) {
    if (!digest->empty()) DISTILLERY_RETURN_IF_ERROR(CheckName(name, *digest, kLongestDigest));
  }
  const RunEntry& run = *runs_.at(task.run_id);
  DISTILLERY_RETURN_IF_ERROR(CheckDigests(run, header));
  if (task.kind == TaskKind::kInitialise) {
    DISTILLERY_RETURN_IF_ERROR(SamplePlan::Create(run.spec, header.samples_per_shard).status());
  }
  leases_.NoteUpload(header.lease.fencing_token);
  plan.incoming_path = folder_->Incoming();
  if (task.kind == TaskKind::kInitialise) return plan;
  plan.has_layout = true;
  if (standing == Standing::kSuperseded &&
      !FileExists(folder_->Weights(task.run_id, run.FileRound(task.round)))) {
    // So late that what it started from is gone: it is not compared.
    superseded_.erase(header.lease.fencing_token);
    UploadPlan nothing;
    nothing.duplicate = true;
    return nothing;
  }
  // Another encoding would give other weights.
  plan.encoding = *ParseDeltaEncoding(run.spec.training.delta_encoding);
  if (ParseDeltaEncoding(header.delta_encoding) != plan.encoding) {
    return absl::FailedPreconditionError(
        absl::StrCat("header.delta_encoding is \"", header.delta_encoding, "\", run ", task.run_id,
                     " takes \"", run.spec.training.delta_encoding, "\""));
  }
  plan.decoded_path = folder_->Incoming();
  plan.buffer_names = run.BufferNames();
  return plan;
}

absl::Status Coordinator::CheckUpload(const std::string& request_id, const Lease& lease) {
  MutexLock lock(mutex_);
  return CheckResult(request_id, lease).status();
}

absl::StatusOr<bool> Coordinator::CommitUpload(const UploadHeader& header, const std::string& path,
                                               const std::string& sha256) {
  const TaskId& id = header.lease.task;
  const bool initialise = id.kind == TaskKind::kInitialise;
  // With the lease's token in it: no other result has this name.
  const std::string spool_name = initialise ? "" : folder_->SpoolName(header.lease);
  const std::string target =
      initialise ? folder_->Weights(id.run_id, 0) : folder_->Absolute(spool_name);
  bool open = false;
  {
    MutexLock lock(mutex_);
    DISTILLERY_ASSIGN_OR_RETURN(const Standing standing,
                                CheckResult(header.request_id, header.lease));
    open = standing == Standing::kOpen;
    if (open) DISTILLERY_RETURN_IF_ERROR(CheckDigests(*runs_.at(id.run_id), header));
    if (open && !committing_.insert(target).second) {
      return absl::UnavailableError(
          absl::StrCat(id.ToString(), ": a result is being recorded, ask again"));
    }
  }
  // Without the lock, so that the disk does this for many results at once. What is not recorded in
  // the end goes with the run's next garbage.
  absl::Status renamed;
  if (open) {
    DISTILLERY_FAILPOINT("coordinator.spool.synced");
    renamed = disk_.Note(RenameDurably(path, target));
    DISTILLERY_FAILPOINT("coordinator.spool.renamed");
  }
  const RecordLock lock(this);
  if (open) committing_.erase(target);
  if (!renamed.ok()) return renamed;
  return RecordResult(header, spool_name, sha256);
}

absl::Status Coordinator::CompareSuperseded(const Lease& lease, const std::string& sha256) {
  const bool equal = superseded_.at(lease.fencing_token).delta_sha256 == sha256;
  superseded_.erase(lease.fencing_token);
  if (!equal) return RaiseNondeterminismAlarm(*runs_.at(lease.task.run_id), lease);
  LogInfo("{}: {} computed the same bits as the faster worker", lease.task.ToString(),
          lease.worker_id);
  return absl::OkStatus();
}

absl::StatusOr<bool> Coordinator::RecordResult(const UploadHeader& header,
                                               const std::string& spool_name,
                                               const std::string& sha256) {
  const TaskId& id = header.lease.task;
  const bool initialise = id.kind == TaskKind::kInitialise;
  // Much may have happened while the file was renamed.
  DISTILLERY_ASSIGN_OR_RETURN(const Standing standing,
                              CheckResult(header.request_id, header.lease));
  if (standing == Standing::kSuperseded) {
    DISTILLERY_RETURN_IF_ERROR(CompareSuperseded(header.lease, sha256));
  }
  if (standing != Standing::kOpen) return true;
  RunEntry& run = *runs_.at(id.run_id);
  DISTILLERY_RETURN_IF_ERROR(CheckDigests(run, header));
  DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow active, CheckLease(header.lease));
  TaskRow task_row = run.Find(id)->row;
  task_row.done = true;
  task_row.request_id = header.request_id;
  task_row.worker_id = header.lease.worker_id;
  task_row.delta_file = spool_name;
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
  std::shared_ptr<const SamplePlan> samples = run.samples;
  if (initialise) {
    DISTILLERY_ASSIGN_OR_RETURN(SamplePlan plan,
                                SamplePlan::Create(run.spec, header.samples_per_shard));
    samples = std::make_shared<const SamplePlan>(std::move(plan));
  }
  LeaseRow lease_row = active;
  lease_row.outcome = "done";
  lease_row.ended_unix_millis = WallMillis();
  std::vector<LeaseRow> slower;
  for (const int64_t token : run.Find(id)->tokens) {
    const LeaseRow* const other = leases_.Find(token);
    if (other != nullptr && token != header.lease.fencing_token) slower.push_back(*other);
  }
  DISTILLERY_RETURN_IF_ERROR(
      record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        DISTILLERY_RETURN_IF_ERROR(record_->Put(task_row));
        DISTILLERY_RETURN_IF_ERROR(record_->Put(lease_row));
        for (LeaseRow other : slower) {
          other.outcome = "superseded";
          other.ended_unix_millis = lease_row.ended_unix_millis;
          DISTILLERY_RETURN_IF_ERROR(record_->Put(other));
        }
        DISTILLERY_RETURN_IF_ERROR(record_->Put(run_row));
        if (initialise && !header.samples_per_shard.empty()) {
          DISTILLERY_RETURN_IF_ERROR(
              record_->Put(PlanRow{run_row.run_id, ShardSizesToText(header.samples_per_shard)}));
        }
        DISTILLERY_FAILPOINT("coordinator.result.recording");
        return absl::OkStatus();
      }));
  DISTILLERY_FAILPOINT("coordinator.result.recorded");
  for (const LeaseRow& other : slower) {
    superseded_[other.lease.fencing_token] = {other.lease, sha256,
                                              Now() + kCompareWithin * options_.lease_duration};
    EndLease(other, "superseded");
  }
  if (!initialise) run.NoteTaskTime(leases_.Age(header.lease.fencing_token, Now()));
  EndLease(active, "done");
  strikes_.Forgive(header.lease.worker_id);
  statistics_.Add(Count::kUploadsAccepted);
  statistics_.Add(Count::kUploadedBytes, header.byte_count);
  counted_requests_.insert(header.request_id);
  run.row = run_row;
  run.samples = std::move(samples);
  run.waiting_for.clear();
  run.Find(id)->row = task_row;
  if (initialise) {
    run.weights_bytes = header.byte_count;
    run.tasks.erase(RunEntry::KeyOf(id));
    run.round_began = Now();
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
  if (const absl::Status figures = CheckEvaluation(metrics); !figures.ok()) {
    NoteBadResult(lease, "figures", figures);
    return figures;
  }
  const RecordLock lock(this);
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
  DISTILLERY_RETURN_IF_ERROR(
      record_->Transaction([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
        DISTILLERY_RETURN_IF_ERROR(record_->Put(EvaluationRow{
            run.row.run_id, lease.task.round, metrics, DetailsToJson(metrics).dump()}));
        DISTILLERY_RETURN_IF_ERROR(record_->Put(lease_row));
        return record_->Put(task_row);
      }));
  DISTILLERY_FAILPOINT("coordinator.evaluation.recorded");
  EndLease(active, "done");
  counted_requests_.insert(request_id);
  run.NoteEvaluation(lease.task.round, metrics);
  run.tasks.erase(RunEntry::KeyOf(lease.task));
  run.advance_after = Now();
  CollectGarbage(run);
  Changed(run);
  DISTILLERY_RETURN_IF_ERROR(Advance(run));
  return false;
}

}  // namespace distillery

#include "coordinator/lease_desk.h"

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "coordinator/lease_ending.h"
#include "coordinator/lease_scheduling.h"
#include "coordinator/request_ledger.h"

namespace distillery {

absl::StatusOr<WorkerRow> LeaseDesk::Register(const std::string& request_id,
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
  return ledger_.Write(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::StatusOr<WorkerRow> {
        for (const WorkerEntry* const worker : ledger_.workers.OfRequest(request_id)) {
          const WorkerRow& known = worker->row;
          // Registered before callers had certificates: nobody can act as that one, see
          // CheckCaller.
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
                      absl::ToUnixSeconds(ledger_.options.clock->WallNow()),
                      facts.certificate,
                      facts.memory_bytes};
        DISTILLERY_RETURN_IF_ERROR(ledger_.ForgetWorkers(1));
        DISTILLERY_RETURN_IF_ERROR(ledger_.record->Put(row));
        ledger_.workers.Add(row, ledger_.Now());
        LogInfo("{} registered as {}", name, row.worker_id);
        return row;
      });
}

absl::Status LeaseDesk::CheckCaller(const std::string& worker_id, const std::string& certificate) {
  if (certificate.empty()) return absl::OkStatus();
  MutexLock lock(ledger_.mutex());
  const WorkerEntry* const found = ledger_.workers.Find(worker_id);
  // Nobody can say who registered without a certificate.
  if (found == nullptr || found->row.certificate.empty()) {
    DISTILLERY_RETURN_IF_ERROR(CheckName("worker_id", worker_id, 128));
    return absl::NotFoundError("worker_id is not known: register again");
  }
  if (found->row.certificate == certificate) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "worker ", worker_id, " was not registered with the certificate of \"", certificate, "\""));
}

int64_t LeaseDesk::Take(const std::string& request_id, const std::string& worker_id,
                        absl::Duration max_wait,
                        std::function<void(absl::StatusOr<LeaseAnswer>)> done) {
  int64_t wait_id = 0;
  auto answer = ledger_.Write(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::StatusOr<LeaseAnswer> {
        if (ledger_.closing) return absl::UnavailableError("the coordinator is stopping");
        absl::StatusOr<LeaseAnswer> tried = TryLease(ledger_, request_id, worker_id);
        if (!tried.ok() || !tried->empty() || max_wait <= absl::ZeroDuration()) return tried;
        const int64_t waits =
            std::count_if(ledger_.waiters.begin(), ledger_.waiters.end(),
                          [&](const LeaseWaiter& waiter) { return waiter.worker_id == worker_id; });
        if (waits >= ledger_.options.max_waits_per_worker) {
          ledger_.statistics.Add(Count::kRefusedWaits);
          return absl::ResourceExhaustedError(absl::StrCat("worker ", worker_id, " has ", waits,
                                                           " LeaseTask calls waiting already"));
        }
        wait_id = ++ledger_.last_wait_id;
        ledger_.waiters.push_back(
            {wait_id, request_id, worker_id, ledger_.Now() + max_wait, std::move(done)});
        ledger_.wake_timer.NotifyAll();
        return tried;
      });
  if (wait_id == 0) done(std::move(answer));
  return wait_id;
}

void LeaseDesk::CancelWait(int64_t wait_id) {
  std::list<LeaseWaiter> found;
  {
    MutexLock lock(ledger_.mutex());
    const auto waiter = std::find_if(ledger_.waiters.begin(), ledger_.waiters.end(),
                                     [&](const LeaseWaiter& w) { return w.id == wait_id; });
    if (waiter == ledger_.waiters.end()) return;
    found.splice(found.begin(), ledger_.waiters, waiter);
  }
  found.front().done(absl::CancelledError("the worker gave up waiting"));
}

absl::Status LeaseDesk::Renew(const Lease& lease, int64_t sample_count,
                              const std::string& waiting_for) {
  constexpr size_t kLongestReason = 300;
  if (sample_count < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("sample_count must be >= 0, got ", sample_count));
  }
  const std::string reason = CutText(PlainText(waiting_for), kLongestReason);
  MutexLock lock(ledger_.mutex());
  DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow row, CheckLease(ledger_, lease));
  ledger_.leases.Renew(row.lease.fencing_token, sample_count, !waiting_for.empty(), ledger_.Now());
  if (WorkerEntry* const worker = ledger_.workers.Find(lease.worker_id))
    ledger_.workers.Touch(worker, ledger_.Now());
  RunEntry& run = *ledger_.runs.at(lease.task.run_id);
  if (run.waiting_for != reason) {
    run.waiting_for = reason;
    ledger_.Changed(run);
  }
  return absl::OkStatus();
}

absl::Status LeaseDesk::Release(const Lease& lease, bool failed, const std::string& message,
                                const std::string& request_id) {
  return ledger_.Write([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::Status {
    if (!request_id.empty() && ledger_.counted_requests.count(request_id) > 0)
      return absl::OkStatus();
    DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow row, CheckLease(ledger_, lease));
    RunEntry& run = *ledger_.runs.at(lease.task.run_id);
    TaskEntry* const task = run.Find(lease.task);
    const LeaseRow ended =
        ledger_.EndedRow(row, failed ? LeaseOutcome::kFailed : LeaseOutcome::kReleased);
    std::optional<TaskRow> failure;
    if (failed && task != nullptr) {
      TaskEntry changed = *task;
      changed.NoteFailure(lease.worker_id);
      failure = changed.row;
    }
    DISTILLERY_RETURN_IF_ERROR(ledger_.record->PutAll(ended, failure));
    EndLease(ledger_, row, ended.outcome);
    if (failure.has_value()) task->row = *failure;
    if (!request_id.empty()) ledger_.counted_requests.insert(request_id);
    return failure.has_value() ? NoteFailure(ledger_, lease, message) : absl::OkStatus();
  });
}

std::string LeaseDesk::PlaceOf(const WorkerRow& worker) {
  // Names hold no space, which is before all that they hold.
  return absl::StrCat(worker.name, " ", worker.worker_id);
}

std::vector<WorkerView> LeaseDesk::Workers(const std::string& after, int64_t limit) {
  constexpr int kRememberedFor = 10;
  MutexLock lock(ledger_.mutex());
  std::map<std::string, const WorkerEntry*> by_place;
  for (const WorkerEntry* const worker : ledger_.workers.HeardSince(
           ledger_.Now() - kRememberedFor * ledger_.options.lease_duration)) {
    by_place.emplace(PlaceOf(worker->row), worker);
  }
  std::vector<WorkerView> views;
  for (auto entry = by_place.upper_bound(after); entry != by_place.end(); ++entry) {
    if (static_cast<int64_t>(views.size()) == limit) break;
    const WorkerEntry& worker = *entry->second;
    const std::string& id = worker.row.worker_id;
    WorkerView view;
    view.silent = ledger_.Now() - worker.last_seen;
    view.gone = !ledger_.Alive(worker);
    view.row = worker.row;
    view.done_tasks = worker.done_tasks;
    view.lost_leases = worker.lost_leases;
    if (const LeaseRow* const lease = ledger_.leases.FindByWorker(id); lease != nullptr) {
      view.lease = lease->lease;
      view.held = ledger_.leases.Age(lease->lease.fencing_token, ledger_.Now());
      view.sample_count = ledger_.leases.SampleCount(lease->lease.fencing_token);
    }
    views.push_back(std::move(view));
  }
  return views;
}

absl::StatusOr<std::vector<LeaseView>> LeaseDesk::History(const std::string& run_id, int64_t after,
                                                          int64_t limit) {
  MutexLock lock(ledger_.mutex());
  DISTILLERY_RETURN_IF_ERROR(ledger_.FindRun(run_id).status());
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<LeaseRow> rows,
                              ledger_.record->LeasesOf(run_id, after, limit));
  std::vector<LeaseView> views;
  for (LeaseRow& row : rows) {
    LeaseView& view = views.emplace_back();
    view.row = std::move(row);
    const Lease& lease = view.row.lease;
    const WorkerEntry* const worker = ledger_.workers.Find(lease.worker_id);
    // The name of one that is forgotten went with it.
    view.worker_name = worker == nullptr ? lease.worker_id : worker->row.name;
    if (lease.task.kind != TaskKind::kTrain || view.row.outcome != LeaseOutcome::kDone) continue;
    const absl::StatusOr<TaskRow> task = ledger_.record->TaskOf(lease.task);
    if (absl::IsNotFound(task.status())) continue;
    DISTILLERY_RETURN_IF_ERROR(task.status());
    if (task->done && task->worker_id == lease.worker_id) view.metrics = task->metrics;
  }
  return views;
}

}  // namespace distillery

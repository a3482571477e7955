// Where workers register, get tasks, and say that they live; and where people look at what they do.
//
// Threads: safe for all. All but Renew, CheckCaller and the two lists block for the disk.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/lease_view.h"
#include "coordinator/ledger.h"
#include "coordinator/task_grant.h"
#include "coordinator/worker_facts.h"
#include "coordinator/worker_view.h"

namespace distillery {

class LeaseDesk {
 public:
  // The ledger must outlive this.
  explicit LeaseDesk(Ledger& ledger) : ledger_(ledger) {}

  // The same request_id gives the same worker; INVALID_ARGUMENT if anything else differs from the
  // first request. Beyond WorkerBook::kMost workers those that have been silent for longest are
  // forgotten, and must register again; RESOURCE_EXHAUSTED if all of them are alive.
  absl::StatusOr<WorkerRow> Register(const std::string& request_id, const std::string& name,
                                     const std::string& fingerprint, const std::string& numerics,
                                     const WorkerFacts& facts = {});
  // OK if a caller with this certificate may act as the worker ("": no caller has certificates).
  // Else PERMISSION_DENIED, or NOT_FOUND for a worker that must register again.
  absl::Status CheckCaller(const std::string& worker_id, const std::string& certificate);
  // Calls `done` once: with a task, with nothing after max_wait, or with NOT_FOUND (unknown
  // worker), UNAVAILABLE (closing) or CANCELLED (CancelWait). A worker holds one lease: asking with
  // a new request_id gives up the one before. Returns an id for CancelWait; 0 if `done` was called.
  int64_t Take(const std::string& request_id, const std::string& worker_id, absl::Duration max_wait,
               std::function<void(absl::StatusOr<LeaseAnswer>)> done);
  void CancelWait(int64_t wait_id);
  // ABORTED: the lease has ended; PERMISSION_DENIED: it is another worker's. Never waits for a
  // disk: a worker must not lose its lease because others write.
  absl::Status Renew(const Lease& lease, int64_t sample_count, const std::string& waiting_for);
  // The same request_id again, if one is given: OK, and counted once.
  absl::Status Release(const Lease& lease, bool failed, const std::string& message,
                       const std::string& request_id = "");

  // The workers heard of within the last ten lease durations, in the order of PlaceOf: at most
  // `limit` of those behind the place `after` ("": from the first one).
  std::vector<WorkerView> Workers(const std::string& after, int64_t limit);
  // The worker's place in lists: by name, then by id.
  static std::string PlaceOf(const WorkerRow& worker);
  // The run's leases, those that have ended too, with tokens above `after`, oldest first; at most
  // `limit`. NOT_FOUND; DATA_LOSS for a damaged row.
  absl::StatusOr<std::vector<LeaseView>> History(const std::string& run_id, int64_t after,
                                                 int64_t limit);

 private:
  Ledger& ledger_;
};

}  // namespace distillery

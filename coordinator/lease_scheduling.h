// Who gets which task: whose turn it is, backups of stragglers, and when to look again.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/ledger.h"
#include "coordinator/task_grant.h"

namespace distillery {

// What a waiting call is to be answered.
struct OfferedTask {
  LeaseWaiter waiter;
  absl::StatusOr<LeaseAnswer> answer;
};

// Grants the worker a task if there is one for it. The same request_id gives the same lease; with
// another one the worker gives up what it holds. NOT_FOUND for a worker that must register again.
absl::StatusOr<LeaseAnswer> TryLease(Ledger& ledger, const std::string& request_id,
                                     const std::string& worker_id)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// Takes out the waiters for whom there is a task now, or whose time is over. They are to be
// answered once what was recorded is on disk, without the mutex.
std::vector<OfferedTask> OfferTasks(Ledger& ledger) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// When the timer must look again, whatever happens before.
absl::Duration NextWake(Ledger& ledger) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());

}  // namespace distillery

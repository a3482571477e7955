// How leases end, and what follows: the task is free again, or its run pauses because it failed or
// was lost too often.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/ledger.h"

namespace distillery {

// The active lease, or ABORTED / PERMISSION_DENIED.
absl::StatusOr<LeaseRow> CheckLease(Ledger& ledger, const Lease& lease)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// Ends an active lease with `outcome` and frees its task; the row is recorded by the caller.
LeaseRow EndLease(Ledger& ledger, const LeaseRow& row, LeaseOutcome outcome)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// The same for a lease that its holder did not end; records it. A holder that asks for another task
// without a result or a reason ("abandoned") has failed at this one, see NoteFailure.
absl::Status LoseLease(Ledger& ledger, const LeaseRow& row, LeaseOutcome outcome)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// Pauses the run if the lease's task has failed too often. Its row counts this failure already.
absl::Status NoteFailure(Ledger& ledger, const Lease& lease, const std::string& why)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// Ends those whose holders are silent, or get no further.
void EndOverdueLeases(Ledger& ledger) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());

}  // namespace distillery

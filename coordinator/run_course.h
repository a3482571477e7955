// The course of a run: it goes on from round to round, pauses, ends; and what follows for the runs
// that depend on it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "coordinator/ledger.h"

namespace distillery {

// The text of an error as it is shown to clients, which need not know where the state folder is.
std::string ReasonShown(const Ledger& ledger, const absl::Status& status);

// Takes back the run's tasks; it stays paused until somebody resumes it.
absl::Status Pause(Ledger& ledger, RunEntry& run, const std::string& reason)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// Ends the run; its leases end as "cancelled".
absl::Status EndRun(Ledger& ledger, RunEntry& run, RunState state, const std::string& reason)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// Sets run.blocked_by; FAILED_PRECONDITION if what it depends on has ended without success.
absl::Status CheckDependencies(Ledger& ledger, RunEntry& run)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// Queues averaging, or ends the run, if its state asks for it.
absl::Status Advance(Ledger& ledger, RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// Advances the runs whose time has come: a quorum's deadline is over, or advancing had failed.
void AdvanceOverdueRuns(Ledger& ledger) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// Marks the run's newest weights as damaged; nothing is leased until they are rebuilt.
void QueueRebuild(Ledger& ledger, RunEntry& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// What cannot be done for want of room or of descriptors is asked for again once there are some
// (FollowDisk in repair.h); true if the status is such.
bool WaitsForDisk(Ledger& ledger, RunEntry& run, const absl::Status& status)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());

}  // namespace distillery

// Files that are not as the record says: tasks are done again, weights are rebuilt by the averager.
// And what the runs do when the disk is full or descriptors are used up.
#pragma once

#include <string>

#include "coordinator/average.h"
#include "coordinator/ledger.h"

namespace distillery {

// What could not be averaged because inputs are damaged: they are made again.
void HandleDamage(Ledger& ledger, RunEntry& run, const AverageResult& average)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());
// Rebuilds the newest weights of a run for which QueueRebuild was called, to the same bytes; pauses
// it if they cannot be. Blocks for as long as averaging takes.
void RebuildWeights(Ledger& ledger, const std::string& run_id) ABSL_LOCKS_EXCLUDED(ledger.mutex());
// When the disk is full or descriptors are used up, and when there is room or one is free again.
void FollowDisk(Ledger& ledger) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex());

}  // namespace distillery

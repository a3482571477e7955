// The files that a run's rounds start from and give.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/average.h"
#include "coordinator/run_entry.h"
#include "coordinator/state/state_folder.h"

namespace distillery {

// The files that the run's next round starts from, and the SHA-256 that they must have.
std::vector<std::pair<std::string, std::string>> NewestFiles(const StateFolder& folder,
                                                             const RunEntry& run);
// What to average for W_{round+1}. REQUIRES: `tasks` are the round's, done, in replica order.
AverageRequest RequestAverage(const StateFolder& folder, const RunEntry& run, int64_t round,
                              const std::vector<TaskRow>& tasks);
// Puts what was averaged in its place, the weights last: a crash before leaves a round that is
// simply averaged again. After an error what has no place yet is removed. Blocks for the disk.
absl::Status PublishAverage(const StateFolder& folder, const AverageRequest& request,
                            const std::string& run_id, int64_t round);
// Removes the files of an average that nobody wants any more.
void DropAverage(const AverageRequest& request);

}  // namespace distillery

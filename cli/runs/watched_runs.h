// Runs that a command waits for.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/runs/cluster.h"
#include "cli/runs/run_client.h"
#include "common/run/run_spec.h"

namespace distillery {

struct WatchOptions {
  // The processes that do the runs; null: somebody else's. Checked while waiting.
  Cluster* cluster = nullptr;
  // Gets each state; empty when the coordinator does not answer.
  std::function<void(const std::vector<v1::Run>&)> show;
  // The teacher and the data that the runs are done with.
  RunInputs inputs;
  // Said after a stop signal: how to go on.
  std::string resume_hint;
};

// Submits the runs, or finds them again, and waits until all have succeeded; in the order of
// `specs`. CANCELLED after a stop signal; errors as RunOutcome, Cluster::Check and RunClient.
absl::StatusOr<std::vector<v1::Run>> WatchRuns(const RunClient& client,
                                               const std::vector<RunSpec>& specs,
                                               const WatchOptions& options);

}  // namespace distillery

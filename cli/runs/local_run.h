// A run from start to end inside this process.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/run/run_spec.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

struct LocalRun {
  RunSpec spec;
  // Gets student.pt, metrics.json ..., and the coordinator's record in state/.
  std::string folder;
  std::string data_dir;
  // Where teacher and student compute: "cpu", "cuda" or "cuda:N".
  std::string device = "cpu";
  // Said after Ctrl-C: how to go on.
  std::string resume_hint;
};

// Does the run, or goes on with it if the folder holds it unfinished; a run that has been done is
// answered from the record. Runs of other specs that are unfinished in the folder are cancelled.
// CANCELLED after a stop signal; ABORTED with the reason if the run fails or pauses.
absl::StatusOr<v1::GetRunResponse> DoLocalRun(const LocalRun& run);

}  // namespace distillery

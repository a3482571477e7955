// What `distillery report` shows of one run, gathered from its record and its model files. The JSON
// is described in deploy/results.schema.json under `panels`.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cli/runs/run_folder.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

struct PanelSources {
  // With rounds and, if they are known, the details of the last evaluation.
  v1::GetRunResponse run;
  // Empty: not known; then `no_leases` says why.
  std::optional<v1::ListLeasesResponse> leases;
  std::string no_leases;
  // The student's TorchScript file; "": not here.
  std::string student_model;
  RunSources sources;
};

// A JSON object. What cannot be shown, such as a teacher that is not here or data that cannot be
// read, stands in it with the reason. CANCELLED after a stop signal.
absl::StatusOr<std::string> GatherPanels(const PanelSources& sources);

}  // namespace distillery

// Where a report's content comes from: a run's folder, a run on a coordinator, an experiment's
// folder.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/report/results.h"
#include "cli/report/run_panels.h"
#include "cli/runs/run_client.h"

namespace distillery {

// Reads a folder that WriteRunFolder made, or an older version of it did. A teacher without name
// in `sources` is looked for where the RunSpec says, and as teacher.pt in the folder or that above.
// NOT_FOUND without metrics.json; INVALID_ARGUMENT if that is not a run's.
absl::StatusOr<PanelSources> ReadRunFolder(const std::string& folder, const RunSources& sources);

// Reads a run on a coordinator; the student is downloaded to `student_path`. Errors as RunClient.
absl::StatusOr<PanelSources> ReadCoordinatorRun(const RunClient& client, const std::string& run_id,
                                                const std::string& student_path,
                                                const RunSources& sources);

// One run as results. Errors as GatherPanels.
absl::StatusOr<Results> ResultsOfRun(const PanelSources& sources, const std::string& command);

// Reads FOLDER/results.json and gathers the panels of its main runs that it has none of; if there
// were any, writes it back, so that every figure of the report is in it. Errors as ReadResults,
// GatherPanels.
absl::StatusOr<Results> CompleteResults(const std::string& folder, const RunSources& sources);

}  // namespace distillery

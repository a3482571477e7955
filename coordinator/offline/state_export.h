// What a state folder holds, for people and scripts, whether a coordinator runs on it, does not, or
// will not start.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

struct StateExport {
  // One object: a list of rows for each table, the RunSpec as an object, states and kinds by name,
  // and "damaged": the rows that were left out.
  std::string json;
  // One line for each row or table that was left out.
  std::vector<std::string> left_out;
};

// NOT_FOUND: no record in the folder; DATA_LOSS: not even the list of tables can be read.
absl::StatusOr<StateExport> ExportState(const std::string& folder);

struct ExportedWeights {
  int64_t round = 0;
  std::string sha256;
  // Newer rounds whose files are missing or damaged.
  std::vector<int64_t> skipped_rounds;
};

// Writes the newest weights of the run that are as the record says to `output`, a safetensors file.
// NOT_FOUND: no such run, or it has no weights yet; DATA_LOSS: none of those that are kept is
// sound.
absl::StatusOr<ExportedWeights> ExportWeights(const std::string& folder, const std::string& run_id,
                                              const std::string& output);

}  // namespace distillery

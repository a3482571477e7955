// Whether a state folder is sound: the checksum of each row of the record, the SHA-256 of each file
// that the record names, references between rows, and files that nothing names.
//
//   StateReport report = *CheckState("state", {});
//   for (const StateFinding& finding : report.findings) ...
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

struct StateCheckOptions {
  // Takes out damaged rows that can be made again: tasks, leases, workers, evaluations.
  bool repair = false;
  // If set, takes this run's rows out, so that the others can go on. Its files stay.
  std::string forget_run;
};

struct StateFinding {
  // "damaged": it cannot be used. "leftover": harmless, but nothing names it. "mended": was
  // damaged.
  std::string kind;
  std::string what;
  // What can be done about it.
  std::string remedy;
};

struct StateReport {
  std::vector<StateFinding> findings;
  int64_t row_count = 0;
  int64_t file_count = 0;
  int64_t byte_count = 0;

  int64_t Count(const std::string& kind) const;
  bool sound() const { return Count("damaged") == 0; }
};

// NOT_FOUND: no record in the folder; FAILED_PRECONDITION naming the process that uses the folder;
// INVALID_ARGUMENT: no such run to forget; errors of the file system.
absl::StatusOr<StateReport> CheckState(const std::string& folder, const StateCheckOptions& options);

}  // namespace distillery

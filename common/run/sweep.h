// Several runs from one YAML file: a RunSpec with one more key,
//
//   sweep:
//     temperature: [1, 2, 4, 8, 20]      any key of the RunSpec, by its path or, where it is the
//     only loss.alpha: [0.5, 0.9]             one, its last word
//
// stands for a run of each combination, the last key varying fastest.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/run/run_spec.h"

namespace distillery {

// Most runs of one sweep.
inline constexpr size_t kMostSweptRuns = 1000;

struct SweptRun {
  // Its name tells the combination, or counts where that is too long for a name.
  RunSpec spec;
  // Paths and values of the swept keys; empty for a file without a sweep.
  std::vector<std::pair<std::string, std::string>> values;
};

// INVALID_ARGUMENT "FILE:LINE: ..." as ParseRunSpec, and for a sweep that names no key, one that is
// not known, or one twice.
absl::StatusOr<std::vector<SweptRun>> ParseSweep(const std::string& yaml,
                                                 const std::string& file_name);
absl::StatusOr<std::vector<SweptRun>> ReadSweep(const std::string& path);

// Paths of all keys of a RunSpec and their values as JSON, in order.
std::vector<std::pair<std::string, std::string>> FlattenRunSpec(const RunSpec& spec);

}  // namespace distillery

// The variables of a compute environment (environment.h) that are the same for all numerics.
#pragma once

namespace distillery {

struct ComputeVariable {
  const char* name;
  const char* entry;  // "NAME=value"
  // Whatever the user set there, since it would change results.
  bool replaces;
};

inline constexpr ComputeVariable kComputeVariables[] = {
    {"OMP_WAIT_POLICY", "OMP_WAIT_POLICY=PASSIVE", false},
    {"OMP_NUM_THREADS", "OMP_NUM_THREADS=1", false},
    {"OPENBLAS_NUM_THREADS", "OPENBLAS_NUM_THREADS=1", true},
};

// Marks a process whose environment is as its value, the numerics, says.
inline constexpr char kNumericsVariable[] = "DISTILLERY_NUMERICS";
inline constexpr char kFastestEntry[] = "DISTILLERY_NUMERICS=fastest";

}  // namespace distillery

// The process environment that LibTorch's libraries read when they are loaded, before main: it must
// be right from the start, so a program that computes calls EnsureComputeEnvironment first thing.
// One that always does links early_environment.cc, which saves most of the second that loading
// LibTorch twice takes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace distillery {

// Cores that this process may use: the affinity mask and the cgroup's CPU quota, at least 1.
int AvailableCores();

// Bytes of memory that this process may use: the machine's, or the cgroup's limit if that is lower;
// 0 if they are not known.
int64_t AvailableMemoryBytes();

// Sets what is not set by the user already, and starts the program anew (execve) if anything had to
// be set; returns if all is right. `numerics`: "fastest", or "portable", which pins LibTorch,
// oneDNN and OpenBLAS to AVX2. In both: OMP_WAIT_POLICY=PASSIVE (spinning OpenMP threads cost up to
// a factor 3.7), one OpenMP thread unless asked for, and no thread of OpenBLAS before
// ConfigureTorch (numerics.h) says how many: whatever the user set there, since it would change
// results. REQUIRES: no thread has been started. `argv` as main got it.
void EnsureComputeEnvironment(const std::string& numerics, char** argv);

// The numerics that this process was started with.
std::string ProcessNumerics();

// The value of a flag "--name VALUE" or "--name=VALUE" in argv, or `otherwise`: for flags that are
// needed before the real parser runs.
std::string EarlyFlag(int argc, char** argv, const std::string& name, const std::string& otherwise);

}  // namespace distillery

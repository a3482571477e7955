// How this process computes: set-up of LibTorch, and what its floating-point results depend on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"

namespace distillery {

// Sets LibTorch's intra-op threads for the calling thread and those it starts later, and OpenBLAS's
// for the whole process: both change the last bits of a result, so all that computes at once in a
// process must ask for the same. Turns off TorchScript's profiling executor, whose first passes
// over a graph differ from later ones, and TF32 (torch_version.h). Call at the start of each thread
// that computes.
void ConfigureTorch(int64_t compute_threads);

// The part of ConfigureTorch that is about TorchScript's executor, done once for the process: the
// first passes of a graph then compute as its later ones do.
void TurnOffProfiling();

// What equal bits need besides equal inputs, except threads: for example
// "isa=AVX512 onednn=.. blas=OpenBLAS/SkylakeX torch=1.13.1 device=cpu precision=float32".
// `device_kind`: see ComputeDevice. What a student's precision is, the RunSpec says.
std::string NumericsFingerprint(const std::string& device_kind = "cpu");

// One line for people: threads, BLAS, instruction set, cores.
std::string ComputeDescription(int64_t compute_threads);

// Runs `body` and turns LibTorch's exceptions into INTERNAL with their first line, other
// std::exceptions likewise; RESOURCE_EXHAUSTED if they say that the device or the host has no
// memory. Every entry from our code into LibTorch goes through this.
absl::Status CatchTorchErrors(const std::function<absl::Status()>& body);

}  // namespace distillery

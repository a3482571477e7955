// Weights to start a run from (student.initial_weights), sent to the coordinator before the run is.
#pragma once

#include "absl/status/status.h"
#include "cli/runs/run_client.h"
#include "common/run/run_spec.h"

namespace distillery {

// If the spec names initial weights: reads the file (safetensors, or TorchScript), sends it, and
// sets student.initial_weights_sha256. INVALID_ARGUMENT if the spec has another SHA-256, or for a
// file that is neither; else errors of the rpc.
absl::Status UploadInitialWeights(const RunClient& client, RunSpec* spec);

}  // namespace distillery

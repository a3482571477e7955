// Weighted averaging of replicas' deltas in replica order, and the outer optimizer that applies it.
//
// Everything streams through fragments of one megabyte, so memory does not grow with the model or
// the number of replicas; sums are in double and in replica order, so the bytes do not depend on
// arrival order, on thread count or on restarts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/weights/layout.h"

namespace distillery {

struct ReplicaDelta {
  std::string path;
  // Its weight in the mean; above 0.
  int64_t sample_count = 0;
};

struct AverageRequest {
  // W_r, canonical safetensors.
  std::string weights_path;
  // In replica order; layouts equal to W_r's.
  std::vector<ReplicaDelta> deltas;
  // Sorted names of tensors that are buffers.
  std::vector<std::string> buffer_names;
  // avg = sum_k (n_k / sum n) delta_k.
  // "sgd":      W += rate * avg                                 (rate 1: FedAvg, McMahan et al. 2017)
  // "nesterov": g = -avg; m = momentum m + g; W -= rate (g + momentum m)  (DiLoCo, Douillard 2023)
  // Buffers: float types take the weighted mean of the values, others replica 0's.
  std::string outer_optimizer = "sgd";
  double outer_learning_rate = 1;
  double outer_momentum = 0;
  // Nesterov's m of the round before, float32 of the parameters' elements in W's layout; "" : zero.
  std::string momentum_path;
  // Written and synced under these names; the caller renames. momentum_output for nesterov only.
  std::string weights_output;
  std::string momentum_output;
};

// Returns the SHA-256 (hex) of the new weights. FAILED_PRECONDITION if a layout differs; DATA_LOSS if
// the outcome is not finite or a file is damaged; errors of the file system.
absl::StatusOr<std::string> AverageDeltas(const AverageRequest& request);

// INVALID_ARGUMENT naming the tensor if one of a float type holds NaN or infinity.
absl::Status CheckFinite(const WeightsLayout& layout, absl::string_view file);

}  // namespace distillery

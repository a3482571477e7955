// Averaging of replicas' deltas in replica order, and the outer optimizer that applies it.
//
// Everything streams through fragments of about one megabyte, so memory does not grow with the
// model or the number of replicas, whatever the method; sums are in double and in replica order, so
// the bytes do not depend on arrival order, on thread count or on restarts.
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
  // In the mean: the samples it saw, less if it comes late; above 0.
  double weight = 0;
  // If set, what the file must have.
  std::string sha256 = {};
};

struct AverageRequest {
  // W_r, canonical safetensors; its SHA-256, if set, is compared with the file's.
  std::string weights_path;
  std::string weights_sha256;
  // In replica order; layouts equal to W_r's.
  std::vector<ReplicaDelta> deltas;
  // Sorted names of tensors that are buffers.
  std::vector<std::string> buffer_names;
  // How the deltas become one, element by element:
  // "mean":         avg = sum_k (n_k / sum n) delta_k
  // "trimmed_mean": the mean, without weights, of what is left when the floor(trim * K) smallest
  // and as
  //                 many largest are taken out (Yin et al. 2018, "Byzantine-robust distributed
  //                 learning", definition 2)
  // "median":       the middle one, or the mean of the two in the middle (definition 1 there)
  std::string method = "mean";
  // 0 to below 1/2.
  double trim = 0;
  // A delta whose parameters' L2 norm is larger is scaled down to it; 0: never.
  double clip_norm = 0;
  // "sgd":      W += rate * avg                                 (rate 1: FedAvg, McMahan et al.
  // 2017) "momentum": g = -avg; m = momentum m + g; W -= rate m       (FedAvgM, Hsu et al. 2019)
  // "nesterov": g = -avg; m = momentum m + g; W -= rate (g + momentum m)  (DiLoCo, Douillard 2023)
  // "adam":     m = momentum m + (1 - momentum) avg; v = beta2 v + (1 - beta2) avg^2;
  //             W += rate m / (sqrt(v) + epsilon)               (FedAdam, Reddi et al. 2021)
  // Buffers: float types take the weighted mean of the values (whatever the method), others replica
  // 0's.
  std::string outer_optimizer = "sgd";
  double outer_learning_rate = 1;
  double outer_momentum = 0;
  double outer_beta2 = 0.99;
  double outer_epsilon = 1e-3;
  // The outer optimizer's m and v of the round before, float32 of the parameters' elements in W's
  // layout; "": zero.
  std::string momentum_path;
  std::string variance_path;
  // If set, what they must have.
  std::string momentum_sha256;
  std::string variance_sha256;
  // Written and synced under these names; the caller renames. momentum_output for all but sgd,
  // variance_output for adam alone.
  std::string weights_output;
  std::string momentum_output;
  std::string variance_output;
};

bool KeepsMomentum(const std::string& outer_optimizer);
bool KeepsVariance(const std::string& outer_optimizer);

struct AverageResult {
  // Inputs that are missing or whose SHA-256 differs: W_r or a moment, and replicas. If there are
  // any, nothing was averaged and nothing else is set.
  bool weights_damaged = false;
  std::vector<int64_t> damaged_replicas;
  // SHA-256 (hex) of the new weights, and of the moments that were written.
  std::string weights_sha256;
  std::string momentum_sha256;
  std::string variance_sha256;
  // L2 norm of each replica's delta (parameters alone), before clipping, in replica order.
  std::vector<double> delta_norms;

  bool damaged() const { return weights_damaged || !damaged_replicas.empty(); }
};

// FAILED_PRECONDITION if a layout differs; DATA_LOSS if the outcome is not finite or a file is
// damaged; errors of the file system.
absl::StatusOr<AverageResult> AverageDeltas(const AverageRequest& request);

}  // namespace distillery

// A run's figures as event files of TensorBoard, one folder for the run and one for each replica:
//
//   FOLDER/events.out.tfevents.SUBMITTED.RUN_ID              losses, accuracy, waits, weights
//   FOLDER/replica-K/events.out.tfevents.SUBMITTED.RUN_ID    losses and waits of replica K
//
// Steps are rounds completed; times are those at which the coordinator recorded the results.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/runs/event_file.h"
#include "common/weights/weights.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// By the names of the tensors.
using NamedHistograms = std::map<std::string, Histogram>;
// The histograms of the float32 tensors.
NamedHistograms WeightHistograms(const Weights& weights);

struct RunEvents {
  v1::GetRunResponse run;
  std::vector<v1::LeaseRecord> leases;
  // The histograms of those weights that are at hand, by rounds completed.
  std::map<int64_t, NamedHistograms> weights;
  // Entropy in nats of the teacher's softmax at T = 1, one per sample; empty: not known.
  std::vector<float> teacher_entropies;
};

// Replicas above this many get no folders of their own.
inline constexpr int64_t kMostReplicaFolders = 64;

absl::Status WriteRunEvents(const RunEvents& events, const std::string& folder);

}  // namespace distillery

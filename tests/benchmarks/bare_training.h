// The bare loop that benchmarks of training compare with: what one would write without Distillery.
// torch::nn layers, torch::optim::SGD, all samples normalised in one tensor beforehand, hard
// labels.
//
// LibTorch stays behind this header: no gRPC and no generated messages beside it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/model/card.h"
#include "common/run/run_spec.h"

namespace distillery {

class BareTraining {
 public:
  // spec.student.architecture (an mlp without options, or lenet) on `dataset` in batches of
  // spec.training.batch_size, at its learning_rate and momentum; the samples that do not fill a
  // last batch are left out. Sets LibTorch to spec.compute_threads. Errors of reading the data.
  static absl::StatusOr<std::unique_ptr<BareTraining>> Create(const RunSpec& spec,
                                                              const Dataset& dataset,
                                                              const ModelCard& card);
  virtual ~BareTraining() = default;
  // Trains one epoch, from new weights; the seconds it took.
  virtual double TrainEpoch() = 0;
};

}  // namespace distillery

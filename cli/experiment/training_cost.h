// How long runs take to train: what the estimate of an experiment's time, and the time that is
// left, are made from.
//
// A sample of an epoch costs a fixed part (loading, the calls of each layer) and a part for each
// parameter.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/experiment/recipe.h"
#include "common/run/run_spec.h"

namespace distillery {

class TrainingCost {
 public:
  // Rough figures of one core, enough to weigh runs against each other.
  explicit TrainingCost(const ExperimentRecipe& recipe);
  // Trains the student and a narrow one for some steps each in this process and in `folder`, which
  // is removed afterwards. Blocks for seconds. CANCELLED after a stop signal.
  static absl::StatusOr<TrainingCost> Measure(const ExperimentRecipe& recipe,
                                              const std::string& data_dir,
                                              const std::string& device, const std::string& folder);

  // Seconds of one core. REQUIRES: a built-in architecture.
  double Seconds(const RunSpec& spec) const;
  double Seconds(const std::vector<RunSpec>& specs) const;

 private:
  double SampleSeconds(const RunSpec& spec) const;
  // Parameters of linear layers and convolutions.
  int64_t ParameterCount(const RunSpec& spec) const;

  ImageShape shape_;
  int64_t class_count_;
  int64_t train_size_;
  double per_sample_ = 4e-6;
  double per_parameter_ = 2e-10;
};

}  // namespace distillery

// Progress of many runs at once on standard error: the part done and the time left, one line
// redrawn at a terminal, else a line now and then.
//
// Threads: one.
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/experiment/training_cost.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

class BatchProgress {
 public:
  // `planned`: seconds of all runs of the experiment, by `cost`.
  BatchProgress(std::FILE* out, TrainingCost cost, double planned);
  ~BatchProgress() { Finish(); }
  // What the next batch is for, and its runs.
  void Begin(const std::string& purpose, const std::vector<RunSpec>& specs);
  // Their state, in the same order; cheap to call often. Empty: the coordinator does not answer.
  void Show(const std::vector<v1::Run>& runs);
  // Ends the line that is redrawn, and counts the batch as done.
  void Finish();

 private:
  void Print(const std::string& line);

  std::FILE* const out_;
  const bool terminal_;
  const TrainingCost cost_;
  double planned_;
  // The part that the batches before did.
  double done_before_ = 0;
  // Done when the first state was seen; what runs did in an earlier process took none of this one's
  // time.
  double found_ = 0;
  absl::Duration spent_;
  absl::Duration begun_;
  bool seen_ = false;
  std::string purpose_;
  std::vector<double> costs_;
  std::string printed_;
  absl::Duration printed_at_ = -absl::InfiniteDuration();
  // Lines on the terminal, one below the other.
  size_t drawn_lines_ = 0;
};

}  // namespace distillery

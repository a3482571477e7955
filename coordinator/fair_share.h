// Which run's turn it is: each gets a share of the workers' time in proportion to its priority.
//
// A run that begins starts level with the one that has had least, so that it neither waits for the
// others' past nor makes them wait for theirs. Times are of the coordinator's steady clock; after a
// restart all start level. Threads: one at a time; Ledger guards it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"

namespace distillery {

class FairShare {
 public:
  // The run takes part; nothing if it does. Priority 0 stands for 1.
  void Join(const std::string& run_id, int64_t priority);
  void Leave(const std::string& run_id) { runs_.erase(run_id); }
  // A task of the run took a worker for so long.
  void Charge(const std::string& run_id, absl::Duration used);
  // Worker time per priority, that of tasks under way (`in_flight`) included: the run with the
  // least is next. REQUIRES: the run takes part.
  double SharedSeconds(const std::string& run_id, absl::Duration in_flight) const;

 private:
  struct Run {
    double priority = 1;
    double seconds = 0;
  };
  std::map<std::string, Run> runs_;
};

}  // namespace distillery

// Closes rounds: averages what is in, publishes the new weights and records the round, or makes
// damaged weights again.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/average.h"
#include "coordinator/ledger.h"

namespace distillery {

// Threads: one at a time.
class RoundCloser {
 public:
  // The ledger must outlive this.
  explicit RoundCloser(Ledger& ledger) : ledger_(ledger) {}

  // Averages one round that is ready, or rebuilds weights that are damaged; false if there is
  // nothing to do. The ledger's mutex is free while files are read, written and synced.
  bool AverageNext();

 private:
  struct Job {
    std::string run_id;
    int64_t round = 0;
    // No deltas: there is nothing to average.
    AverageRequest request;
    bool rebuild = false;
  };
  // False if no run waits.
  bool TakeNext(Job* job);
  // Records the average and goes on, or pauses the run if a delta's norm is beyond its limit.
  absl::Status CloseRound(RunEntry& run, int64_t round, const AverageResult& average,
                          absl::Duration started) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());
  absl::Status RecordRound(RunEntry& run, int64_t round, const AverageResult& average)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());
  // After an error: the run fails, or waits. True: it is to be tried again in a while.
  bool StandStill(RunEntry& run, int64_t round, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());

  Ledger& ledger_;
};

}  // namespace distillery

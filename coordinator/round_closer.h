// Closes rounds: averages what is in, publishes the new weights and records the round, or makes
// damaged weights again.
#pragma once

#include <map>
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
  // nothing to do now. The ledger's mutex is free while files are read, written and synced.
  bool AverageNext();
  // Waits until there may be something to do. False: the coordinator closes.
  bool AwaitNext();

 private:
  struct Job {
    std::string run_id;
    int64_t round = 0;
    // No deltas: there is nothing to average.
    AverageRequest request;
    bool rebuild = false;
  };
  // When the run, which is to be averaged, may be.
  absl::Duration DueOf(const std::string& run_id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());
  // False if no run waits.
  bool TakeNext(Job* job);
  // Records the average and goes on, or pauses the run if a delta's norm is beyond its limit.
  absl::Status CloseRound(RunEntry& run, int64_t round, const AverageResult& average,
                          absl::Duration started) ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());
  absl::Status RecordRound(RunEntry& run, int64_t round, const AverageResult& average)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());
  // After an error: the run fails, or waits, and others are averaged meanwhile.
  void StandStill(RunEntry& run, int64_t round, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());

  Ledger& ledger_;
  // By run: it failed and is not averaged again before then.
  std::map<std::string, absl::Duration> again_ ABSL_GUARDED_BY(ledger_.mutex());
};

}  // namespace distillery

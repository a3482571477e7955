// Decides when a worker whose leases end without a result may have the next one: at once for the
// first few times, as after a lost connection, and then after a time that doubles. So, whatever is
// wrong with a worker, it cannot take tasks hundreds of times a second, each with rows in the
// record and lines in the log. A failure that it reports is not counted here: the run pauses after
// a few of them.
//
// Threads: one at a time; Coordinator guards it. Kept in memory alone: a restarted coordinator
// begins to count anew.
#pragma once

#include <algorithm>

#include "absl/time/time.h"
#include "coordinator/state/lease_outcome.h"

namespace distillery {

class LeasePace {
 public:
  // So many leases in a row may end without a result before the worker has to rest.
  static constexpr int kFree = 4;
  static constexpr absl::Duration kFirst = absl::Seconds(1);
  static constexpr absl::Duration kLongest = absl::Minutes(1);

  // A lease of the worker has ended with `outcome`.
  void NoteEnd(LeaseOutcome outcome, absl::Duration now) {
    if (outcome == LeaseOutcome::kDone) {
      fruitless_ = 0;
      return;
    }
    // Other outcomes say nothing about the worker: another was faster, or the run was paused.
    if (!SpecOf(outcome).fruitless) return;
    ++fruitless_;
    if (fruitless_ <= kFree) return;
    const int doublings = std::min(fruitless_ - kFree - 1, 10);
    rests_until_ = now + std::min(kLongest, kFirst * (1 << doublings));
  }
  // The worker gets no lease before this time.
  absl::Duration rests_until() const { return rests_until_; }

 private:
  int fruitless_ = 0;
  absl::Duration rests_until_ = -absl::InfiniteDuration();
};

}  // namespace distillery

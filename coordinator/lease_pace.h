// How soon a worker whose leases end without a result may have the next: at once a few times, as after
// a lost connection, and then after a time that doubles. Whatever is wrong with such a worker, it takes
// no task hundreds of times a second, each with rows of the record and lines of the log. A failure that
// it reports is not counted here: its run pauses after a few.
//
// Threads: one at a time; Coordinator guards it. In memory alone: a coordinator that was restarted
// begins to count anew.
#pragma once

#include <algorithm>
#include <string>

#include "absl/time/time.h"

namespace distillery {

class LeasePace {
 public:
  // Ends in a row without a rest after them.
  static constexpr int kFree = 4;
  static constexpr absl::Duration kFirst = absl::Seconds(1);
  static constexpr absl::Duration kLongest = absl::Minutes(1);

  // A lease of the worker has ended with `outcome`, as in the record.
  void NoteEnd(const std::string& outcome, absl::Duration now) {
    if (outcome == "done") {
      fruitless_ = 0;
      return;
    }
    // The others say nothing about the worker: another was faster, the run was paused.
    if (outcome != "abandoned" && outcome != "released" && outcome != "expired" &&
        outcome != "stalled") {
      return;
    }
    ++fruitless_;
    if (fruitless_ <= kFree) return;
    const int doublings = std::min(fruitless_ - kFree - 1, 10);
    rests_until_ = now + std::min(kLongest, kFirst * (1 << doublings));
  }
  // No lease before.
  absl::Duration rests_until() const { return rests_until_; }

 private:
  int fruitless_ = 0;
  absl::Duration rests_until_ = -absl::InfiniteDuration();
};

}  // namespace distillery

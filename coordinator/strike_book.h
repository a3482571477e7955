// Counts results that no correct worker sends (values that are not finite, another layout, bytes
// that are no weights). A worker with kMost of them in a row gets no task for kRest: it is broken,
// and would take the same task again and again. It may come back at once by registering anew, as a
// worker does that is started again. Kept in memory: a restarted coordinator starts counting anew.
//
// Threads: one at a time; Ledger guards it.
#pragma once

#include <map>
#include <string>

#include "absl/time/time.h"

namespace distillery {

class StrikeBook {
 public:
  static constexpr int kMost = 3;
  static constexpr absl::Duration kRest = absl::Minutes(10);

  // True if this was the one too many.
  bool Strike(const std::string& worker_id, absl::Duration now) {
    Standing& standing = standings_[worker_id];
    if (++standing.strikes < kMost) return false;
    standing.strikes = 0;
    standing.rests_until = now + kRest;
    return true;
  }
  // A result was good.
  void Forgive(const std::string& worker_id) { standings_.erase(worker_id); }
  bool Rests(const std::string& worker_id, absl::Duration now) const {
    const auto found = standings_.find(worker_id);
    return found != standings_.end() && now < found->second.rests_until;
  }

 private:
  struct Standing {
    int strikes = 0;
    absl::Duration rests_until = -absl::InfiniteDuration();
  };
  // The standings of workers whose last result was bad.
  std::map<std::string, Standing> standings_;
};

}  // namespace distillery

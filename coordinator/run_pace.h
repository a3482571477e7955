// How fast a run gets on: how long its tasks take, and how many samples come in each second.
//
// Threads: one at a time; Ledger guards it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "absl/time/time.h"

namespace distillery {

class RunPace {
 public:
  // A training task took so long from lease to result.
  void NoteTaskTime(absl::Duration time);
  // Median of the last training tasks; nothing before there are three.
  const std::optional<absl::Duration>& MedianTaskTime() const { return median_task_time_; }
  // So many samples came in with a result.
  void NoteSamples(int64_t samples, absl::Duration now);
  // The speed of the last ten seconds before `now`; of an ended run, before its last result.
  double SamplesPerSecond(absl::Duration now, bool ended) const;

 private:
  static constexpr absl::Duration kRateWindow = absl::Seconds(10);
  static constexpr size_t kTimesKept = 32;
  static constexpr size_t kLeastTimes = 3;
  // When samples came in, within the window.
  std::deque<std::pair<absl::Duration, int64_t>> samples_;
  std::deque<absl::Duration> task_times_;
  std::optional<absl::Duration> median_task_time_;
};

}  // namespace distillery

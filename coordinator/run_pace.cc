#include "coordinator/run_pace.h"

#include <algorithm>
#include <vector>

namespace distillery {

void RunPace::NoteTaskTime(absl::Duration time) {
  task_times_.push_back(time);
  if (task_times_.size() > kTimesKept) task_times_.pop_front();
  if (task_times_.size() < kLeastTimes) return;
  std::vector<absl::Duration> times(task_times_.begin(), task_times_.end());
  const auto middle = times.begin() + static_cast<int64_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  median_task_time_ = *middle;
}

void RunPace::NoteSamples(int64_t samples, absl::Duration now) {
  samples_.emplace_back(now, samples);
  while (now - samples_.front().first > kRateWindow) samples_.pop_front();
}

double RunPace::SamplesPerSecond(absl::Duration now, bool ended) const {
  // The first entry only marks where the measured time begins.
  int64_t total = 0;
  for (size_t i = 1; i < samples_.size(); ++i) total += samples_[i].second;
  if (total == 0) return 0;
  const absl::Duration end = ended ? samples_.back().first : now;
  const double seconds = absl::ToDoubleSeconds(end - samples_.front().first);
  return seconds > 0 ? static_cast<double>(total) / seconds : 0;
}

}  // namespace distillery

#include "common/run/task.h"

#include <cmath>
#include <limits>
#include <type_traits>

namespace distillery {

TrainMetrics RoundMetrics(const std::vector<const TrainMetrics*>& tasks) {
  TrainMetrics total;
  VisitTrainMetrics([&](const char* /*name*/, auto figure, OfRound of_round, const char* /*tag*/) {
    for (const TrainMetrics* const task : tasks) {
      if (of_round == OfRound::kMean) {
        total.*figure += static_cast<double>(task->sample_count) * (task->*figure);
      } else {
        total.*figure += task->*figure;
      }
    }
    // The samples were counted first.
    if (of_round == OfRound::kMean) total.*figure /= static_cast<double>(total.sample_count);
  });
  return total;
}

absl::Status CheckTraining(const TrainMetrics& metrics) {
  // The limit of one task; the sum over a round's replicas is far from the end of an int64.
  constexpr int64_t kLargestCount = 1'000'000'000;
  // Losses are means of float32; sums over a run's samples are far from the end of a double.
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (metrics.sample_count < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics.sample_count must be above 0, got ", metrics.sample_count));
  }
  absl::Status counts;
  absl::Status numbers;
  VisitTrainMetrics([&](const char* name, auto figure, OfRound /*of*/, const char* /*tag*/) {
    const auto value = metrics.*figure;
    if constexpr (std::is_same_v<decltype(figure), double TrainMetrics::*>) {
      if (std::abs(value) <= kLargest || !numbers.ok()) return;
      numbers = absl::InvalidArgumentError(
          absl::StrCat("metrics.", name, " must be finite, got ", value));
    } else {
      if (figure == &TrainMetrics::sample_count || !counts.ok()) return;
      const int64_t most =
          figure == &TrainMetrics::step_count ? metrics.sample_count : kLargestCount;
      if (value >= 0 && value <= most) return;
      counts = absl::InvalidArgumentError(
          absl::StrCat("metrics.", name, " must be 0 to ", most, ", got ", value));
    }
  });
  return counts.ok() ? numbers : counts;
}

}  // namespace distillery

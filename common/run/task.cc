#include "common/run/task.h"

#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

namespace distillery {

absl::Status CheckTraining(const TrainMetrics& metrics) {
  // Of one task; the sum over a round's replicas is far from the end of an int64.
  constexpr int64_t kMostFailovers = 1'000'000'000;
  // Losses are means of float32; sums over a run's samples are far from the end of a double.
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (metrics.sample_count < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics.sample_count must be above 0, got ", metrics.sample_count));
  }
  for (const auto& [name, count, most] :
       {std::tuple("step_count", metrics.step_count, metrics.sample_count),
        std::tuple("teacher_failover_count", metrics.teacher_failover_count, kMostFailovers)}) {
    if (count >= 0 && count <= most) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("metrics.", name, " must be 0 to ", most, ", got ", count));
  }
  for (const auto& [name, value] :
       {std::pair("loss", metrics.loss), std::pair("soft_loss", metrics.soft_loss),
        std::pair("hard_loss", metrics.hard_loss), std::pair("seconds", metrics.seconds),
        std::pair("teacher_wait_seconds", metrics.teacher_wait_seconds),
        std::pair("dkd_target_loss", metrics.dkd_target_loss),
        std::pair("dkd_other_loss", metrics.dkd_other_loss),
        std::pair("data_wait_seconds", metrics.data_wait_seconds)}) {
    if (std::abs(value) <= kLargest) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("metrics.", name, " must be finite, got ", value));
  }
  return absl::OkStatus();
}

}  // namespace distillery

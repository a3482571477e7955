#include "common/run/schedule.h"

#include <cmath>

namespace distillery {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Half a cosine wave from `from` at 0 to `to` at 1.
double Anneal(double from, double to, double at) {
  return to + (from - to) * (1 + std::cos(kPi * at)) / 2;
}

}  // namespace

const std::vector<std::string>& KnownSchedules() {
  static const auto* const known =
      new std::vector<std::string>{"constant", "linear", "step", "cosine", "one_cycle"};
  return *known;
}

double LearningRateAt(const std::string& schedule, double peak, double progress, double warm_up) {
  if (progress < warm_up) peak *= progress / warm_up;
  if (schedule == "linear") return peak * (1 - progress);
  if (schedule == "step") {
    constexpr double kDrop = 0.1;
    return peak * (progress < 0.5 ? 1 : progress < 0.75 ? kDrop : kDrop * kDrop);
  }
  constexpr double kWarmUp = 0.3;
  constexpr double kStartDivisor = 25;
  if (schedule == "cosine") return Anneal(peak, 0, progress);
  if (schedule == "one_cycle") {
    if (progress < kWarmUp) return Anneal(peak / kStartDivisor, peak, progress / kWarmUp);
    return Anneal(peak, 0, (progress - kWarmUp) / (1 - kWarmUp));
  }
  return peak;
}

double ScheduledValue(const std::string& schedule, double start, double end, double progress,
                      double warm_up) {
  return end + (start - end) * LearningRateAt(schedule, 1, progress, warm_up);
}

}  // namespace distillery

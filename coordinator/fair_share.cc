#include "coordinator/fair_share.h"

#include <algorithm>

namespace distillery {

void FairShare::Join(const std::string& run_id, int64_t priority) {
  if (runs_.count(run_id) > 0) return;
  Run run;
  run.priority = static_cast<double>(std::max<int64_t>(1, priority));
  bool first = true;
  double least = 0;
  for (const auto& [id, other] : runs_) {
    const double share = other.seconds / other.priority;
    least = first ? share : std::min(least, share);
    first = false;
  }
  run.seconds = least * run.priority;
  runs_[run_id] = run;
}

void FairShare::Charge(const std::string& run_id, absl::Duration used) {
  const auto found = runs_.find(run_id);
  if (found != runs_.end()) found->second.seconds += absl::ToDoubleSeconds(used);
}

double FairShare::SharedSeconds(const std::string& run_id, absl::Duration in_flight) const {
  const Run& run = runs_.at(run_id);
  return (run.seconds + absl::ToDoubleSeconds(in_flight)) / run.priority;
}

}  // namespace distillery

// Exponential back-off with full jitter, so that many clients of one server that comes back do not
// all call at once.
#pragma once

#include <algorithm>
#include <random>

#include "absl/time/time.h"

namespace distillery {

class Backoff {
 public:
  explicit Backoff(absl::Duration first = absl::Milliseconds(100),
                   absl::Duration longest = absl::Seconds(5))
      : first_(first), longest_(longest), next_(first), generator_(std::random_device{}()) {}

  // How long to wait now: between half and the whole of a time that doubles up to the longest.
  absl::Duration Next() {
    const absl::Duration wait =
        next_ * std::uniform_real_distribution<double>(0.5, 1.0)(generator_);
    next_ = std::min(next_ * 2, longest_);
    return wait;
  }
  void Reset() { next_ = first_; }

 private:
  const absl::Duration first_;
  const absl::Duration longest_;
  absl::Duration next_;
  std::mt19937 generator_;
};

}  // namespace distillery

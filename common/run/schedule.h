// Learning rate, temperature and alpha over a run, as functions of progress alone, so that any task
// can compute them.
#pragma once

#include <string>
#include <vector>

namespace distillery {

// "constant", "linear", "step", "cosine", "one_cycle".
const std::vector<std::string>& KnownSchedules();

// The rate at `progress`, 0 (start of the run) to 1 (its end). cosine: peak * (1 + cos(pi p)) / 2.
// linear: peak * (1 - p). step: peak, a tenth of it from p = 1/2 on, a hundredth from 3/4 on (as He
// et al. 2016, section 4.2, do for CIFAR). one_cycle (Smith 2018): cosine from peak / 25 to peak
// over the first 30 %, then cosine to 0. Over the first `warm_up` of the run the rate is multiplied
// by p / warm_up (Goyal et al. 2017, section 2.2). REQUIRES: `schedule` is known, 0 <= warm_up < 1.
double LearningRateAt(const std::string& schedule, double peak, double progress,
                      double warm_up = 0);

// What goes from `start` to `end` as the learning rate goes from its peak to 0:
// end + (start - end) * LearningRateAt(schedule, 1, progress, warm_up).
double ScheduledValue(const std::string& schedule, double start, double end, double progress,
                      double warm_up);

}  // namespace distillery

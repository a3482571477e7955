// The mean of paired differences with its confidence interval.
#pragma once

#include <cstdint>
#include <vector>

namespace distillery {

struct PairedDifference {
  double mean = 0;
  // Half the width of the 95 % interval of the mean by Student's t with n - 1 degrees of freedom;
  // infinite for n = 1.
  double half_width = 0;
};

// REQUIRES: at least one difference.
PairedDifference MeanDifference(const std::vector<double>& differences);

}  // namespace distillery

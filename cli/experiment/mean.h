// Means over seeds, with their 95 % intervals, in the forms that results hold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/report/results.h"

namespace distillery {

// The mean with the half width of its interval; of one value the value alone.
// REQUIRES: at least one value.
ResultCell MeanCell(const std::vector<double>& values);

// "Means of 3 seeds", "One seed".
std::string MeansOf(int64_t seeds);

// Appends the mean and, for two values or more, the ends of its interval.
void AppendMean(const std::vector<double>& values, ResultSeries* series);

// a[i] - b[i]. REQUIRES: as long as each other.
std::vector<double> Differences(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace distillery

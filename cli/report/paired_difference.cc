#include "cli/report/paired_difference.h"

#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>

namespace distillery {

PairedDifference MeanDifference(const std::vector<double>& differences) {
  const auto count = static_cast<double>(differences.size());
  PairedDifference result;
  result.mean = std::accumulate(differences.begin(), differences.end(), 0.0) / count;
  if (differences.size() < 2) {
    result.half_width = std::numeric_limits<double>::infinity();
    return result;
  }
  double squares = 0;
  for (const double difference : differences) {
    squares += (difference - result.mean) * (difference - result.mean);
  }
  const double deviation = std::sqrt(squares / (count - 1));
  const boost::math::students_t distribution(count - 1);
  const double quantile = boost::math::quantile(distribution, 0.975);
  result.half_width = quantile * deviation / std::sqrt(count);
  return result;
}

}  // namespace distillery

#include "cli/report/paired_difference.h"

#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace distillery {
namespace {

// t(0.975, df) for df = 1..30 (any table of Student's distribution).
constexpr std::array<double, 30> kQuantiles = {
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};

// Beyond the table: Cornish-Fisher's first term around the normal quantile, right to three digits.
double Quantile(size_t degrees) {
  if (degrees <= kQuantiles.size()) return kQuantiles[degrees - 1];
  constexpr double kNormal = 1.959964;
  const auto df = static_cast<double>(degrees);
  return kNormal + (kNormal * kNormal * kNormal + kNormal) / (4 * df);
}

}  // namespace

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
  result.half_width = Quantile(differences.size() - 1) * deviation / std::sqrt(count);
  return result;
}

}  // namespace distillery

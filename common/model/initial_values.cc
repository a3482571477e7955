#include "common/model/initial_values.h"

#include <cmath>

namespace distillery {

void FillUniform(RandomStream random, float bound, float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] = (2 * random.Uniform() - 1) * bound;
}

void FillNormal(RandomStream random, double deviation, float* values, int64_t count) {
  constexpr double kTwoPi = 6.283185307179586;
  for (int64_t i = 0; i < count; ++i) {
    // 1 - u is in (0, 1]: its logarithm is finite.
    const double radius = std::sqrt(-2 * std::log(1.0 - random.Uniform()));
    values[i] = static_cast<float>(deviation * radius * std::cos(kTwoPi * random.Uniform()));
  }
}

}  // namespace distillery

#include "common/data/whole_rotation.h"

#include <utility>

namespace distillery {
namespace {

// pi/18000 in units of 2^-44: radians of a hundredth of a degree.
constexpr int64_t kHundredth = 3070415691;

// x^first / first! - x^(first + 2) / (first + 2)! + ..., |x| below 0.8 in units of 2^-30.
int64_t Series(int64_t x, int64_t term, int64_t first) {
  int64_t sum = 0;
  for (int64_t k = first; term != 0; k += 2) {
    sum += term;
    term = -(term * x / kOneRotation * x / kOneRotation) / ((k + 1) * (k + 2));
  }
  return sum;
}

}  // namespace

Rotation RotationOf(int64_t hundredths) {
  const int64_t angle = ((hundredths % 36000) + 36000) % 36000;
  const int64_t quarters = (angle + 4500) / 9000;
  const int64_t rest = angle - quarters * 9000;  // -4500 to 4500
  const int64_t x = rest * kHundredth / (int64_t{1} << 14);
  Rotation result{Series(x, x, 1), Series(x, kOneRotation, 0)};
  for (int64_t i = 0; i < quarters % 4; ++i) {
    result = {result.cosine, -result.sine};
  }
  return result;
}

}  // namespace distillery

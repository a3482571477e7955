// Sine and cosine in whole numbers, so that all machines agree to the last bit.
#pragma once

#include <cstdint>

namespace distillery {

// The unit of what follows: 1.0 is 2^30.
inline constexpr int64_t kOneRotation = int64_t{1} << 30;

struct Rotation {
  int64_t sine = 0;
  int64_t cosine = kOneRotation;
};

// Of an angle in hundredths of a degree, -36,000 to 36,000; by Taylor's series, each within 2^-26.
// Exact at multiples of 90 degrees.
Rotation RotationOf(int64_t hundredths);

}  // namespace distillery

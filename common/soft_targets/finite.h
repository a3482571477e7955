// Infinity and NaN in rows of floats, at the speed of memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace distillery {

// The bits of the largest magnitude, 0 if there are no values. As integers, magnitudes order like
// floats, with infinity and NaN last.
inline int32_t LargestMagnitudeBits(const float* values, int64_t count) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    int32_t bits = 0;
    std::memcpy(&bits, values + i, sizeof(bits));
    largest = std::max(largest, bits & 0x7FFFFFFF);
  }
  return largest;
}

inline bool AllFinite(const float* values, int64_t count) {
  return LargestMagnitudeBits(values, count) < 0x7F800000;
}

}  // namespace distillery

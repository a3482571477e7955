// Shapes from outside, multiplied without overflow before anything is allocated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

inline constexpr int kMaxDimensions = 8;

// The number of elements of `shape`, or INVALID_ARGUMENT: more than 8 dimensions, a size below 1
// (below 0 if zero_allowed), or a product above `limit`.
absl::StatusOr<int64_t> CheckedElementCount(const std::vector<int64_t>& shape, int64_t limit,
                                            bool zero_allowed = false);

// "[1, 3]": where the element `index`, of row-major ones, lies in `shape`; "" if that has no sizes.
std::string PlaceIn(const std::vector<int64_t>& shape, int64_t index);

}  // namespace distillery

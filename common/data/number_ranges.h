// The lowest, mean and highest of a split's numbers, for people.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"

namespace distillery {

struct NumberRange {
  double low = 0;
  double high = 0;
  double mean = 0;
  // Of all numbers, with n below the sum.
  double deviation = 0;
};

struct NumberRanges {
  // For each input of the spec its channels (InputSpec::channels); of pictures none.
  std::vector<std::vector<NumberRange>> inputs;
  // Of values one for each, over all positions; else empty.
  std::vector<NumberRange> values;
};

// Reads each sample once, if anything is wanted. Errors as Dataset::ReadRecords.
absl::StatusOr<NumberRanges> MeasureNumbers(const Dataset& dataset);

}  // namespace distillery

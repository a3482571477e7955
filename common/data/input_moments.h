// The mean and the deviation of the numbers of a split's samples, for the inputs that a model takes
// normalised.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"

namespace distillery {

struct Moments {
  float mean = 0;
  // 1 where all numbers are equal: it divides.
  float deviation = 1;
};

// For each channel (InputSpec::channels) of each input of the data set's samples, in order. Of a
// picture's pixels in 0..1 they come from the sums that its digest kept; other inputs are read once
// more, row after row, so that the bits depend on nothing but the data and its order. Errors as
// Dataset::ReadRecords.
absl::StatusOr<std::vector<Moments>> InputMoments(const Dataset& dataset);

}  // namespace distillery

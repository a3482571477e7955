// The built-in digits data set (see digits/README.md for source and licence).
#pragma once

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// Parses lines of 64 pixel values 0..16 and a label 0..9, separated by commas. DATA_LOSS names the
// line that is not so.
absl::StatusOr<StoredSamples> ParseDigitsCsv(absl::string_view text);

// 1,797 images of 8 x 8 in 10 classes, split by a fixed seed into 1,400 for training and 397 for
// testing.
absl::StatusOr<StoredSamples> ReadBuiltInDigits();

}  // namespace distillery

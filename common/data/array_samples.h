// Makes samples of named arrays, whether they lie in NPY files or in NPZ archives.
#pragma once

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "common/data/array_source.h"
#include "common/data/samples.h"

namespace distillery {

// Inputs are all arrays of a split but "labels" and "mask", in the order of their names; "images"
// is pictures: |u1 [samples, height, width] or [samples, channels, height, width] with 1 or 3
// channels. Of "tokens" each is below the vocabulary, which dataset.json gives, else the largest
// token. A "mask" says which positions count; where the answer has no positions it is the last
// input. Labels as in array_labels.h. One array alone with one class for each sample is read from
// its file on demand, all else is held in memory, at most `max_bytes` of records. `files` gets the
// places of the arrays and the names of the other files in the folder that were read.
//   INVALID_ARGUMENT     shapes and types that do not fit together, numbers that are no labels,
//                        tokens or finite values, each with its place
//   NOT_FOUND            an array that is missing
//   DATA_LOSS            arrays of different numbers of samples; damaged files
//   RESOURCE_EXHAUSTED   more than max_bytes
absl::StatusOr<StoredSamples> ReadArrays(const ArraySource& source, const std::string& folder,
                                         int64_t max_bytes, std::set<std::string>* files);

}  // namespace distillery

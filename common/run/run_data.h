// Checks whether a run fits its data set before it begins, so that whoever submits it is told at
// once.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/data/dataset.h"
#include "common/run/run_spec.h"

namespace distillery {

// INVALID_ARGUMENT naming the field whose value does not fit images of `shape` in `class_count`
// classes: the architecture's sizes, top_k, the classes left out. REQUIRES: the spec is valid.
absl::Status CheckFitsData(const RunSpec& spec, const ImageShape& shape, int64_t class_count);

// The same for the training split; also checks that each replica gets samples.
absl::Status CheckFitsData(const RunSpec& spec, const Dataset& training);

// INVALID_ARGUMENT if a teacher of images of `shape` in `class_count` classes does not fit the
// data; `teacher` names it in the message.
absl::Status CheckTeacherFitsData(const std::string& teacher, const ImageShape& shape,
                                  int64_t class_count, const std::string& dataset,
                                  const ImageShape& data_shape, int64_t data_class_count);

}  // namespace distillery

// Checks that a model answered each row with finite numbers: a target that is not finite would
// spoil every loss that it reaches. A row that fails concerns only those who asked for it.
//
// Threads: safe for all.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

// The first row, from `first` on, with a number that is not finite. logits [rows, values]
std::optional<int64_t> FirstUnfiniteRow(const float* logits, int64_t first, int64_t rows,
                                        int64_t values);

// INTERNAL "model M answered with nan for class 3 of row 5" unless all is finite, or "for class 3
// at [7] of row 5" where answers have positions; `row_offset` is added to the row that is named.
absl::Status CheckFiniteRows(const TeacherInfo& info, const float* logits, int64_t rows,
                             int64_t row_offset = 0);

}  // namespace distillery

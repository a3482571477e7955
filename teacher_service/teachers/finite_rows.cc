#include "teacher_service/teachers/finite_rows.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/soft_targets/finite.h"

namespace distillery {

std::optional<int64_t> FirstUnfiniteRow(const float* logits, int64_t first, int64_t rows,
                                        int64_t classes) {
  if (AllFinite(logits + first * classes, (rows - first) * classes)) return std::nullopt;
  while (AllFinite(logits + first * classes, classes)) ++first;
  return first;
}

absl::Status CheckFiniteRows(const TeacherInfo& info, const float* logits, int64_t rows,
                             int64_t row_offset) {
  const int64_t classes = info.card.class_count();
  const std::optional<int64_t> row = FirstUnfiniteRow(logits, 0, rows, classes);
  if (!row.has_value()) return absl::OkStatus();
  const float* const begin = logits + *row * classes;
  const float* const bad =
      std::find_if(begin, begin + classes, [](float logit) { return !std::isfinite(logit); });
  return absl::InternalError(absl::StrCat("model ", info.model_name, " answered with ", *bad,
                                          " for class ", bad - begin, " of row ",
                                          row_offset + *row));
}

}  // namespace distillery

#include "teacher_service/teachers/finite_rows.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/shape.h"
#include "common/soft_targets/finite.h"

namespace distillery {

std::optional<int64_t> FirstUnfiniteRow(const float* logits, int64_t first, int64_t rows,
                                        int64_t values) {
  if (AllFinite(logits + first * values, (rows - first) * values)) return std::nullopt;
  while (AllFinite(logits + first * values, values)) ++first;
  return first;
}

absl::Status CheckFiniteRows(const TeacherInfo& info, const float* logits, int64_t rows,
                             int64_t row_offset) {
  const int64_t values = info.card.row_values();
  const std::optional<int64_t> row = FirstUnfiniteRow(logits, 0, rows, values);
  if (!row.has_value()) return absl::OkStatus();
  const float* const begin = logits + *row * values;
  const float* const bad =
      std::find_if(begin, begin + values, [](float logit) { return !std::isfinite(logit); });
  const int64_t classes = info.card.class_count();
  const std::string place = PlaceIn(info.card.samples.answer.positions, (bad - begin) / classes);
  return absl::InternalError(absl::StrCat(
      "model ", info.model_name, " answered with ", *bad, " for class ", (bad - begin) % classes,
      place.empty() ? "" : " at ", place, " of row ", row_offset + *row));
}

}  // namespace distillery

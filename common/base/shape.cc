#include "common/base/shape.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace distillery {

absl::StatusOr<int64_t> CheckedElementCount(const std::vector<int64_t>& shape, int64_t limit,
                                            bool zero_allowed) {
  if (shape.size() > kMaxDimensions) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape has ", shape.size(), " dimensions, at most ", kMaxDimensions));
  }
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < (zero_allowed ? 0 : 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape [", absl::StrJoin(shape, ", "), "] has the size ", size));
    }
    if (__builtin_mul_overflow(count, size, &count) || count > limit) {
      return absl::InvalidArgumentError(absl::StrCat("shape [", absl::StrJoin(shape, ", "),
                                                     "] has more than ", limit, " elements"));
    }
  }
  return count;
}

std::string PlaceIn(const std::vector<int64_t>& shape, int64_t index) {
  if (shape.empty()) return "";
  std::vector<int64_t> places(shape.size());
  for (size_t i = shape.size(); i-- > 0; index /= shape[i]) places[i] = index % shape[i];
  return absl::StrCat("[", absl::StrJoin(places, ", "), "]");
}

}  // namespace distillery

#include "teacher_service/teachers/padded_batch.h"

#include <algorithm>
#include <set>

namespace distillery {

std::vector<int64_t> PaddedSizes(const std::vector<int64_t>& exact) {
  std::set<int64_t> sizes(exact.begin(), exact.end());
  const int64_t largest = *sizes.rbegin();
  for (int64_t size = 1; size < largest; size *= 2) sizes.insert(size);
  return {sizes.begin(), sizes.end()};
}

int64_t PaddedRows(int64_t rows, const std::vector<int64_t>& sizes) {
  const auto found = std::lower_bound(sizes.begin(), sizes.end(), rows);
  return found == sizes.end() ? 0 : *found;
}

}  // namespace distillery

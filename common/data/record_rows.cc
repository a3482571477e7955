#include "common/data/record_rows.h"

#include <algorithm>
#include <numeric>

#include "absl/container/fixed_array.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Records that are held as bytes at a time, unless one has more.
constexpr int64_t kBlockBytes = int64_t{1} << 20;

int64_t RowsOfBlock(const Dataset& dataset) {
  return std::max<int64_t>(1, kBlockBytes / dataset.record_bytes());
}

}  // namespace

absl::Status ForEachRecord(const Dataset& dataset, const std::vector<int64_t>& rows,
                           const TakeRecord& take) {
  const int64_t size = dataset.record_bytes();
  const int64_t count = static_cast<int64_t>(rows.size());
  const int64_t most = std::min(count, RowsOfBlock(dataset));
  // On the stack up to 4 KiB: training loads sample by sample.
  absl::FixedArray<uint8_t, 4096> block(static_cast<size_t>(most * size));
  for (int64_t first = 0; first < count; first += most) {
    const int64_t last = std::min(first + most, count);
    if (count == 1) {
      DISTILLERY_RETURN_IF_ERROR(dataset.ReadRecord(rows[0], block.data()));
    } else {
      DISTILLERY_RETURN_IF_ERROR(
          dataset.ReadRecords({rows.begin() + first, rows.begin() + last}, block.data()));
    }
    for (int64_t i = first; i < last; ++i) take(rows[i], &block[(i - first) * size]);
  }
  return absl::OkStatus();
}

absl::Status ForEachRecord(const Dataset& dataset, const TakeRecord& take) {
  const int64_t most = RowsOfBlock(dataset);
  for (int64_t first = 0; first < dataset.size(); first += most) {
    std::vector<int64_t> rows(static_cast<size_t>(std::min(most, dataset.size() - first)));
    std::iota(rows.begin(), rows.end(), first);
    DISTILLERY_RETURN_IF_ERROR(ForEachRecord(dataset, rows, take));
  }
  return absl::OkStatus();
}

}  // namespace distillery

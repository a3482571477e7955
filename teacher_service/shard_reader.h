// Soft targets of shards: a pure function of (teacher, data set, shard, view, format, row).
//
// Threads: safe for all. Rows are computed in cuts of the teacher's batch_rows from the start of the
// shard, so their bits do not depend on where a reader starts.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/data/augmentation.h"
#include "common/data/dataset.h"
#include "common/soft_targets/encode.h"
#include "teacher_service/teacher.h"

namespace distillery {

class ShardReader {
 public:
  // One piece of a shard's soft targets: whole rows.
  struct Piece {
    int64_t start_row = 0;
    int64_t rows = 0;
    std::string values;
  };

  // FAILED_PRECONDITION if the data does not fit the teacher; NOT_FOUND for the shard.
  static absl::StatusOr<std::unique_ptr<ShardReader>> Create(
      Teacher* teacher, std::shared_ptr<const Dataset> dataset, int64_t shard, const View& view,
      const SoftTargetFormat& format);

  int64_t row_count() const { return range_.count; }
  // The rows from `row` to the end of its cut, at most max_bytes of them (but at least one).
  // REQUIRES: 0 <= row < row_count(). Computes; blocks.
  absl::StatusOr<Piece> Read(int64_t row, int64_t max_bytes);

 private:
  ShardReader(Teacher* teacher, std::shared_ptr<const Dataset> dataset, RowRange range, View view,
              const SoftTargetFormat& format)
      : teacher_(teacher), dataset_(std::move(dataset)), range_(range), view_(view),
        format_(format) {}
  absl::Status ComputeCut(int64_t cut);

  Teacher* const teacher_;
  const std::shared_ptr<const Dataset> dataset_;
  const RowRange range_;
  const View view_;
  const SoftTargetFormat format_;
  // Logits of the cut computed last: [rows of the cut, classes].
  int64_t cut_ = -1;
  std::vector<float> logits_;
};

}  // namespace distillery

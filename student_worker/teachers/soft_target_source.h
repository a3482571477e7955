// Where a student gets soft targets from.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/data/dataset.h"
#include "common/soft_targets/format.h"
#include "common/soft_targets/rows.h"

namespace distillery {

struct ShardRequest {
  DatasetReference dataset;
  std::string dataset_digest;
  int64_t shard = 0;
  // Rows that the shard must have.
  int64_t row_count = 0;
  int64_t class_count = 0;
  // What the data set asks for a sample: each row has class_count numbers for each position.
  AnswerSpec answer;
  std::string augmentation;
  int64_t augmentation_seed = 0;
  int64_t view = 0;
  // The format of each row; the representation is not kNone.
  SoftTargetFormat format;
  // Empty: any; then set by the first answer.
  std::string teacher_digest;

  // Of one row.
  AnswerShape answer_shape() const { return {answer, class_count}; }
};

// True once a reader should give up. Called by the reading thread.
using CancelCheck = std::function<bool()>;

// Threads: ReadShard by one thread at a time.
class SoftTargetSource {
 public:
  virtual ~SoftTargetSource() = default;
  // Reads the whole shard into `rows`, in place of what was there, and sets
  // request->teacher_digest. Waits for an absent teacher and resumes broken streams at the next row
  // until `cancelled` says so. CANCELLED then; FAILED_PRECONDITION if a digest or a count differs;
  // DATA_LOSS if the rows are not what the format says; else what the teacher says.
  virtual absl::Status ReadShard(ShardRequest* request, const CancelCheck& cancelled,
                                 SoftTargetRows* rows) = 0;
};

}  // namespace distillery

// What a teacher says of a split of its data, checked: nothing is allocated on an unchecked word of
// it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "distillery/v1/teacher_service.pb.h"

namespace distillery {

struct DatasetDescription {
  std::string digest;
  int64_t stored_size = 0;
  SampleSpec spec;
  std::vector<std::string> class_names;
  // The stored index of each row.
  std::vector<int64_t> stored_indexes;

  int64_t row_count() const { return static_cast<int64_t>(stored_indexes.size()); }
  int64_t record_bytes() const {
    return spec.record_bytes(static_cast<int64_t>(class_names.size()));
  }
  int64_t all_bytes() const { return row_count() * record_bytes(); }
};

void FillSelector(const DatasetReference& reference, v1::DatasetSelector* selector);

// DATA_LOSS for what describes no data set; RESOURCE_EXHAUSTED, with the sizes, for one of more
// than `max_bytes` of samples or with samples too large for a message.
absl::StatusOr<DatasetDescription> ReadDescription(const DatasetReference& reference,
                                                   const v1::DescribeDatasetResponse& response,
                                                   int64_t max_bytes);

}  // namespace distillery

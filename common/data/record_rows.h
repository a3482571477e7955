// The records of a data set's rows, read in blocks of about a megabyte.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "common/data/dataset.h"

namespace distillery {

// `record`: record_bytes() bytes, which are there until it returns.
using TakeRecord = std::function<void(int64_t row, const uint8_t* record)>;

// Gives `take` each of the rows, in their order. Errors as Dataset::ReadRecords.
absl::Status ForEachRecord(const Dataset& dataset, const std::vector<int64_t>& rows,
                           const TakeRecord& take);
// All rows.
absl::Status ForEachRecord(const Dataset& dataset, const TakeRecord& take);

}  // namespace distillery

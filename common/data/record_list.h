// Samples that are made one by one and held in memory.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/data/samples.h"

namespace distillery {

// Appends to `samples`, whose spec and class names are set. Not thread-safe.
class RecordList {
 public:
  // At most `max_bytes` of records.
  RecordList(StoredSamples* samples, int64_t max_bytes)
      : samples_(samples),
        record_bytes_(samples->record_bytes()),
        most_(std::min(kMaxSamples, max_bytes / std::max<int64_t>(1, record_bytes_))) {}

  // The next record, of zeros, with the label that samples with one class each have: good until the
  // next call. RESOURCE_EXHAUSTED beyond max_bytes or kMaxSamples.
  absl::StatusOr<uint8_t*> Add(int32_t label) {
    if (samples_->size() >= most_) {
      return absl::ResourceExhaustedError(absl::StrCat("there are more than ", most_,
                                                       " samples of ", record_bytes_,
                                                       " bytes, which is what is held in memory"));
    }
    samples_->records.resize(samples_->records.size() + static_cast<size_t>(record_bytes_));
    samples_->labels.push_back(label);
    return &samples_->records[samples_->records.size() - static_cast<size_t>(record_bytes_)];
  }

 private:
  StoredSamples* const samples_;
  const int64_t record_bytes_;
  const int64_t most_;
};

}  // namespace distillery

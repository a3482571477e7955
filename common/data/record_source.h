// Where records of samples that are not held in memory come from: read on demand.
//
// Threads: immutable, safe for all. Reads block on the disk.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace distillery {

// One record to read.
struct RecordWish {
  // Stored index: of the sample in its data set.
  uint32_t index = 0;
  // The place of the record in the output.
  uint32_t place = 0;
};

class RecordSource {
 public:
  virtual ~RecordSource() = default;

  // For messages: the file or the files.
  virtual std::string name() const = 0;
  virtual int64_t count() const = 0;
  virtual int64_t record_bytes() const = 0;

  // Reads one record to output [record_bytes()]. DATA_LOSS, naming the file, for what is cut short
  // or damaged; UNAVAILABLE for another reason of the system. REQUIRES: 0 <= record < count().
  virtual absl::Status Read(int64_t record, uint8_t* output) const = 0;
  // Reads all to their places in output [.., record_bytes()]. The first record has the stored index
  // `first_index`. REQUIRES: `wishes` are sorted by index, and of records of this source.
  virtual absl::Status Read(const RecordWish* wishes, int64_t wish_count, int64_t first_index,
                            uint8_t* output) const = 0;
};

}  // namespace distillery

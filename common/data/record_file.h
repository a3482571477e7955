// The records of an uncompressed file of equal records, read on demand: IDX, NPY, CIFAR, and what
// came from a teacher.
//
// Threads: immutable, safe for all. Reads block on the disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/input_file.h"
#include "common/data/record_source.h"

namespace distillery {

// Where the records lie in the file, in bytes.
struct RecordLayout {
  // Where the first one lies.
  int64_t offset = 0;
  // From one to the next.
  int64_t stride = 0;
  int64_t record_bytes = 0;
  int64_t count = 0;
};

class RecordFile : public RecordSource {
 public:
  RecordFile(InputFile file, const RecordLayout& layout)
      : file_(std::move(file)), layout_(layout) {}

  std::string name() const override { return file_.name(); }
  int64_t count() const override { return layout_.count; }
  int64_t record_bytes() const override { return layout_.record_bytes; }

  // Errors as InputFile::ReadAt. REQUIRES: 0 <= record < count().
  absl::Status Read(int64_t record, uint8_t* output) const override;
  // Neighbours, and those with little between, in one go.
  absl::Status Read(const RecordWish* wishes, int64_t wish_count, int64_t first_index,
                    uint8_t* output) const override;

 private:
  int64_t OffsetOf(int64_t record) const { return layout_.offset + record * layout_.stride; }

  const InputFile file_;
  const RecordLayout layout_;
};

}  // namespace distillery

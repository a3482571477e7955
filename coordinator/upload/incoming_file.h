// A file that comes in chunks over one stream, or over several when one breaks off. Checks order,
// sizes and checksums as the bytes come in; the file is unlinked unless somebody renames it.
//
// Threads: one at a time. Every method may block for the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/files.h"

namespace distillery {

class IncomingFile {
 public:
  // A file of `byte_count` bytes. `path` empty: the bytes are checked and dropped.
  static absl::StatusOr<std::unique_ptr<IncomingFile>> Create(const std::string& path,
                                                              int64_t byte_count);

  int64_t received_bytes() const { return bytes_; }

  // A stream begins, or goes on: INVALID_ARGUMENT unless start_offset is received_bytes().
  absl::Status BeginStream(int64_t start_offset);
  // The chunk's bytes, in pieces. INVALID_ARGUMENT for a chunk out of order, twice, empty, or
  // beyond the announced size; DATA_LOSS if `crc32c` is not its CRC-32C (0: not given).
  absl::Status Append(int64_t offset, absl::Span<const absl::string_view> data, uint32_t crc32c);
  absl::Status Append(int64_t offset, absl::string_view data, uint32_t crc32c) {
    return Append(offset, {&data, 1}, crc32c);
  }
  // The stream's trailer: INVALID_ARGUMENT if counts differ or bytes are missing, DATA_LOSS if the
  // CRC over this stream's bytes does.
  absl::Status EndStream(int64_t chunk_count, int64_t byte_count, uint32_t crc32c);

  // After the last stream. REQUIRES: a path was given.
  OutputFile& file() { return *file_; }

 private:
  explicit IncomingFile(int64_t byte_count) : byte_count_(byte_count) {}

  const int64_t byte_count_;
  std::unique_ptr<OutputFile> file_;
  int64_t bytes_ = 0;
  // Where the present stream began, and its chunks.
  int64_t stream_start_ = 0;
  int64_t chunks_ = 0;
  uint32_t crc_ = 0;
};

}  // namespace distillery

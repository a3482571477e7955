// A file read at any place with pread, so that nothing of it stays in memory: mapped pages would
// count as the process's own, and a file cut short would end the process by SIGBUS.
//
// Threads: immutable, safe for all. Reads block on the disk.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/descriptor.h"

namespace distillery {

// What tells one state of a file from another without reading it.
struct FileStamp {
  // Within its folder.
  std::string name;
  int64_t bytes = 0;
  // Modification time, nanoseconds since 1970.
  int64_t modified_ns = 0;

  friend bool operator==(const FileStamp& a, const FileStamp& b) {
    return a.name == b.name && a.bytes == b.bytes && a.modified_ns == b.modified_ns;
  }
};

class InputFile {
 public:
  // Errors of OpenRegularFile; they name `path`.
  static absl::StatusOr<InputFile> Open(const std::string& path);
  // Takes an open file; `name` is for messages.
  InputFile(std::string name, Descriptor descriptor)
      : stamp_{std::move(name), 0, 0}, descriptor_(std::move(descriptor)) {}

  // As it was when opened; no size or time if it was given open.
  const FileStamp& stamp() const { return stamp_; }
  const std::string& name() const { return stamp_.name; }
  int64_t size() const { return stamp_.bytes; }

  // Reads exactly `bytes` from `offset` on. DATA_LOSS, naming the file without its folder, if it is
  // cut short or the disk cannot read it; UNAVAILABLE for another reason of the system.
  absl::Status ReadAt(int64_t offset, int64_t bytes, void* output) const;

 private:
  FileStamp stamp_;
  Descriptor descriptor_;
};

}  // namespace distillery

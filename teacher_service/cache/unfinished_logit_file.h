// A file of the soft-target cache while it is written: under a temporary name, unlinked by the
// destructor unless renamed.
//
// It is locked (flock), by which those who clean up see that its process lives, also from another
// container. Nothing is fsynced: after a crash of the machine the crc tells which files are whole.
//
// Threads: Write is safe for all; the rest needs the object alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "teacher_service/cache/logit_cache_file.h"
#include "teacher_service/cache/logit_cache_format.h"

namespace distillery {

class UnfinishedLogitFile {
 public:
  // Makes the folders above, and takes the room on the disk at once where the file system can.
  // RESOURCE_EXHAUSTED if the disk is full, else as ErrnoStatus.
  static absl::StatusOr<std::unique_ptr<UnfinishedLogitFile>> Create(const std::string& path,
                                                                     const LogitFileSpec& spec);
  ~UnfinishedLogitFile();

  // REQUIRES: whole rows, inside of the shape.
  absl::Status Write(int64_t first_row, absl::string_view rows) const;
  // What a file is that was completed.
  struct Completed {
    FileVersion version;
    std::shared_ptr<const LogitChecksums> checksums;
  };
  // Writes the header, with the crc of the logits, and sets the access time to `used`.
  // REQUIRES: each row was written.
  absl::StatusOr<Completed> Complete(absl::Time used) const;
  // Gives the file its name, in place of one that has it. After Complete.
  absl::Status Rename();

  // Removes the unfinished file at `path` if the process that wrote it is gone: nobody locks it.
  // Where the file system has no locks: if it was not written for an hour before `now`.
  static void RemoveIfLeftBehind(const std::string& path, absl::Time now);

 private:
  UnfinishedLogitFile(std::string path, const LogitFileSpec& spec, std::string temporary,
                      int descriptor)
      : path_(std::move(path)),
        spec_(spec),
        temporary_(std::move(temporary)),
        descriptor_(descriptor) {}
  const std::string path_;
  const LogitFileSpec spec_;
  const std::string temporary_;
  const int descriptor_;
  bool renamed_ = false;
};

}  // namespace distillery

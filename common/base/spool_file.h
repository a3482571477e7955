// A file without a name for bytes that are too many for memory: it goes when the last descriptor of
// it is closed, however the process ends.
//
// Threads: writes by one at a time.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/descriptor.h"

namespace distillery {

class SpoolFile {
 public:
  // In `folder`, or, if that is empty, in $TMPDIR or else /tmp, with room for `bytes`.
  // RESOURCE_EXHAUSTED, with the way out, if there is not as much; UNAVAILABLE if no file can be
  // made there. Neither names the folder.
  static absl::StatusOr<SpoolFile> Create(int64_t bytes, const std::string& folder = "");

  // RESOURCE_EXHAUSTED if the disk is full.
  absl::Status WriteAt(int64_t offset, absl::string_view bytes);

  // Gives the file to the caller.
  Descriptor Release() && { return std::move(descriptor_); }

 private:
  SpoolFile(int64_t bytes, Descriptor descriptor)
      : bytes_(bytes), descriptor_(std::move(descriptor)) {}
  absl::Status Failed(int error_number) const;

  // Wanted, for messages.
  int64_t bytes_;
  Descriptor descriptor_;
};

}  // namespace distillery

// The size that an upload announces.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace distillery {

// INVALID_ARGUMENT below 1, RESOURCE_EXHAUSTED over `most`.
inline absl::Status CheckUploadSize(int64_t byte_count, int64_t most) {
  if (byte_count < 1) {
    return absl::InvalidArgumentError(absl::StrCat("byte_count must be above 0, got ", byte_count));
  }
  if (byte_count > most) {
    return absl::ResourceExhaustedError(
        absl::StrCat("byte_count ", byte_count, " is over the limit of ", most));
  }
  return absl::OkStatus();
}

}  // namespace distillery

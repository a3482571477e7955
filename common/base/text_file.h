// Text files of users: editors put a byte order mark in front, or save in another encoding.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace distillery {

// ReadFile without the byte order mark of UTF-8, if there is one. INVALID_ARGUMENT, with the way
// out, for text that starts with the mark of UTF-16 or UTF-32.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, int64_t max_bytes);

}  // namespace distillery

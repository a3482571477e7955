// The names of a data set's classes: from a file, numbers, and what they must be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

inline constexpr int64_t kMaxClasses = 65536;

// "0", "1", ... "count - 1".
std::vector<std::string> NumberedClassNames(int64_t count);

// One name per line; a byte order mark, white space around it and empty lines at the end do not
// count. Errors of ReadTextFile.
absl::StatusOr<std::vector<std::string>> ReadClassNames(const std::string& path);

// INVALID_ARGUMENT, naming the class, unless there are `least` to kMaxClasses names, each of 1 to
// 256 bytes of printable UTF-8, and no two alike: they travel in messages and model cards.
absl::Status CheckClassNames(const std::vector<std::string>& names, size_t least = 2);

}  // namespace distillery

// Whether a file of the state folder holds what the record says of it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace distillery {

// OK if the file is there and has this SHA-256 (hex); DATA_LOSS if it is missing or differs.
// *bytes, if given, grows by what was read.
absl::Status CheckFileSha256(const std::string& path, const std::string& sha256,
                             int64_t* bytes = nullptr);

}  // namespace distillery

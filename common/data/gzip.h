// Reading of plain and gzip-compressed files with a bound on what comes out.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

// Decompresses a gzip file, all its members. DATA_LOSS if it is damaged, cut short or no gzip file
// (the message says what it is, if that is known); RESOURCE_EXHAUSTED if it holds more than
// max_bytes. The message names `name`.
absl::StatusOr<std::string> GunzipBytes(absl::string_view compressed, int64_t max_bytes,
                                        absl::string_view name);

// The first `bytes` bytes of what a gzip file holds, or all if it holds fewer; does not look at the
// rest. DATA_LOSS as GunzipBytes.
absl::StatusOr<std::string> GunzipStart(absl::string_view compressed, int64_t bytes,
                                        absl::string_view name);

// Reads `path`, or `path`.gz if that is the one there; at most max_bytes come out.
absl::StatusOr<std::string> ReadPlainOrGzip(const std::string& path, int64_t max_bytes);

}  // namespace distillery

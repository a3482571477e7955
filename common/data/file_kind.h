// What a file is by its first bytes, for messages about files that are not what their names say.
#pragma once

#include "absl/strings/string_view.h"

namespace distillery {

// Such as "a GIF picture", "an HTML page", "gzip-compressed data"; "" for a kind that is not known.
absl::string_view FileKind(absl::string_view start);

// Whether the bytes start as a gzip file does.
bool IsGzip(absl::string_view start);

}  // namespace distillery

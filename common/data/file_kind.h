// What a file is by its first bytes, for messages about files that are not what their names say.
#pragma once

#include "absl/strings/string_view.h"

namespace distillery {

// "a GIF picture", "an HTML page", "gzip-compressed data" ...; "" if it is none of those known.
absl::string_view FileKind(absl::string_view start);

// Whether it starts as gzip does.
bool IsGzip(absl::string_view start);

}  // namespace distillery

// Names that people type and ids that come over the network.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace distillery {

// An id or a name from outside for a message: plain text (see text.h) of 80 bytes at most.
std::string Printable(absl::string_view text);

// The candidate nearest to `name` by edit distance, or "" if none is near (more than a third of the
// letters differ, and more than two).
std::string NearestName(absl::string_view name, const std::vector<std::string>& candidates);

// "unknown KIND \"NAME\"; did you mean \"X\"?", or with the list of what is known.
std::string UnknownName(absl::string_view kind, absl::string_view name,
                        const std::vector<std::string>& candidates);

// INVALID_ARGUMENT unless `name` has 1 to max_length letters, digits, '-', '_' and '.', and does
// not start with '.': safe as a file name and in a log line. `field` is named in the message.
absl::Status CheckName(absl::string_view field, absl::string_view name, size_t max_length);

// `size` random hex digits from the system's entropy. For ids only: no result depends on them.
std::string RandomHex(int size);

}  // namespace distillery

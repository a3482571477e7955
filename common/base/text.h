// Text from outside: file names, messages of the other side of a call, what a library says. Every door
// through which text leaves a function for a Status that travels, a message, a log line or a terminal
// makes it plain here; those who write the messages need not think of it.
//
// All are idempotent: text that has been through one door goes through the next unchanged.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace distillery {

// Well-formed UTF-8, without surrogates and overlong forms: what protobuf's strings must be.
bool IsUtf8(absl::string_view text);

// The text with each byte that is not part of well-formed UTF-8 written as "\xff".
std::string WholeUtf8(absl::string_view text);

// The same, and what moves a terminal's cursor, ends a line or turns the reading direction is written
// out too: "\n", "\x1b", "\u202e". One line, whatever went in.
std::string PlainText(absl::string_view text);

// At most `max_bytes` of the text, which ends in "..." where something was left out; never cut inside
// a character. REQUIRES: max_bytes >= 3.
std::string CutText(absl::string_view text, size_t max_bytes);

}  // namespace distillery

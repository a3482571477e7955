// Makes text from outside harmless: file names, messages of the other side of a call, what a
// library says. Every door through which text leaves the program (a Status that is sent, a message,
// a log line, a terminal) calls these functions, so that the code that writes the texts need not.
//
// All of them are idempotent: text that has passed one door passes the next unchanged.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace distillery {

// Whether the text is well-formed UTF-8, without surrogates and overlong forms, as protobuf's
// strings must be.
bool IsUtf8(absl::string_view text);

// The text with each byte that is not part of well-formed UTF-8 written as "\xff".
std::string WholeUtf8(absl::string_view text);

// The same, with characters that move a terminal's cursor, end a line or turn the reading direction
// escaped too: "\n", "\x1b", "\u202e". The result is one line, whatever went in.
std::string PlainText(absl::string_view text);

// The text, or a beginning of it with "..." at its end that has at most `max_bytes`; never cut
// inside a character. REQUIRES: max_bytes >= 3.
std::string CutText(absl::string_view text, size_t max_bytes);

}  // namespace distillery

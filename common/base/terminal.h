// The door to a terminal (or to whatever standard output and standard error are): texts that come from
// outside move no cursor and end no line there.
#pragma once

#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "common/base/text.h"

namespace distillery {

inline std::string ForTerminal(const std::string& text) { return PlainText(text); }
inline std::string ForTerminal(absl::string_view text) { return PlainText(text); }
inline std::string ForTerminal(const char* text) { return PlainText(text); }
template <typename Number>
Number ForTerminal(Number number) {
  return number;
}

// As absl::FPrintF; each text among the arguments is made plain (text.h), the format's own line ends
// stay. What is formatted already, a table or JSON, is for std::fputs: who made it saw to its cells.
template <typename... Arguments>
void Print(std::FILE* out,
           const absl::FormatSpec<decltype(ForTerminal(std::declval<const Arguments&>()))...>& format,
           const Arguments&... arguments) {
  absl::FPrintF(out, format, ForTerminal(arguments)...);
}

// One document, of which a text that is no UTF-8 holds U+FFFD instead: a file's name must not end the
// program, as it does by default.
template <typename Json>
std::string JsonText(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace distillery

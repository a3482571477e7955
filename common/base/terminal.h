// The door to a terminal (or to whatever standard output and standard error are): texts from
// outside can neither move the cursor nor end a line there.
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

// As absl::FPrintF, but each text among the arguments is made plain (text.h); line ends of the
// format itself stay. A table or JSON, whose texts are plain already, is written with std::fputs.
template <typename... Arguments>
void Print(
    std::FILE* out,
    const absl::FormatSpec<decltype(ForTerminal(std::declval<const Arguments&>()))...>& format,
    const Arguments&... arguments) {
  absl::FPrintF(out, format, ForTerminal(arguments)...);
}

// The document as JSON, with U+FFFD in place of bytes that are not UTF-8: by default such bytes, in
// a file's name for example, would end the program.
template <typename Json>
std::string JsonText(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace distillery

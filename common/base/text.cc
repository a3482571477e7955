#include "common/base/text.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace distillery {
namespace {

uint8_t ByteAt(absl::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

bool Continues(uint8_t byte) { return (byte & 0xC0U) == 0x80U; }

// Bytes of the character that the text begins with, and its code point; 0 if it begins with none
// (Unicode 15, table 3-7). REQUIRES: the text is not empty.
size_t FirstCharacter(absl::string_view text, char32_t* code_point) {
  const uint8_t first = ByteAt(text, 0);
  if (first < 0x80) {
    *code_point = first;
    return 1;
  }
  const size_t size = first >= 0xC2 && first <= 0xDF   ? 2
                      : first >= 0xE0 && first <= 0xEF ? 3
                      : first >= 0xF0 && first <= 0xF4 ? 4
                                                       : 0;
  if (size == 0 || text.size() < size) return 0;
  char32_t point = first & (0x7FU >> size);
  for (size_t i = 1; i < size; ++i) {
    if (!Continues(ByteAt(text, i))) return 0;
    point = point << 6U | (ByteAt(text, i) & 0x3FU);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (point < kLeast[size] || point > 0x10FFFF || surrogate) return 0;
  *code_point = point;
  return size;
}

// Controls of C0 and C1, line ends of Unicode, and marks that reorder what stands around them: with
// these a file's name could pass for another one.
bool IsControl(char32_t point) {
  return point < 0x20 || (point >= 0x7F && point <= 0x9F) || point == 0x200E || point == 0x200F ||
         (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069) ||
         point == 0xFEFF;
}

void AppendControl(char32_t point, std::string* out) {
  switch (point) {
    case '\n':
      *out += "\\n";
      return;
    case '\r':
      *out += "\\r";
      return;
    case '\t':
      *out += "\\t";
      return;
    default:
      break;
  }
  if (point < 0x80) {
    absl::StrAppendFormat(out, "\\x%02x", static_cast<unsigned>(point));
  } else {
    absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned>(point));
  }
}

std::string Rewrite(absl::string_view text, bool controls_too) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    char32_t point = 0;
    const size_t size = FirstCharacter(text, &point);
    if (size == 0) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned>(ByteAt(text, 0)));
    } else if (controls_too && IsControl(point)) {
      AppendControl(point, &out);
    } else {
      out.append(text.data(), size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    char32_t point = 0;
    const size_t size = FirstCharacter(text, &point);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string WholeUtf8(absl::string_view text) { return Rewrite(text, /*controls_too=*/false); }

std::string PlainText(absl::string_view text) { return Rewrite(text, /*controls_too=*/true); }

std::string CutText(absl::string_view text, size_t max_bytes) {
  constexpr absl::string_view kMore = "...";
  if (text.size() <= max_bytes) return std::string(text);
  size_t end = max_bytes - kMore.size();
  // A character has three bytes more at most; what has more is none, and may be cut anywhere.
  for (int back = 0; back < 3 && end > 0 && Continues(ByteAt(text, end)); ++back) --end;
  return absl::StrCat(text.substr(0, end), kMore);
}

}  // namespace distillery

#include "cli/terminal/terminal_text.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace distillery {
namespace {

bool BeginsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }

// Bytes of the text's first `columns` columns.
size_t BytesOf(const std::string& text, size_t columns) {
  size_t end = 0;
  while (end < text.size()) {
    if (BeginsCharacter(text[end]) && columns-- == 0) break;
    ++end;
  }
  return end;
}

}  // namespace

size_t TerminalWidth(std::FILE* out) {
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

size_t WidthOf(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), BeginsCharacter));
}

std::string Fit(const std::string& text, size_t width) {
  if (WidthOf(text) <= width) return text;
  return width == 0 ? "" : text.substr(0, BytesOf(text, width - 1)) + "…";
}

std::string Pad(const std::string& text, size_t width, bool right) {
  const size_t own = WidthOf(text);
  const std::string space(own < width ? width - own : 0, ' ');
  return right ? space + text : text + space;
}

std::vector<std::string> Wrap(const std::string& text, size_t width, size_t most_lines) {
  std::vector<std::string> lines;
  std::string rest = text;
  while (lines.size() + 1 < most_lines && WidthOf(rest) > width) {
    size_t end = BytesOf(rest, width);
    size_t next = end;
    // A space right behind the line is a fine place as well.
    if (const size_t space = rest.rfind(' ', end); space != std::string::npos && space > 0) {
      end = space;
      next = space + 1;
    }
    lines.push_back(rest.substr(0, end));
    rest.erase(0, next);
  }
  lines.push_back(Fit(rest, width));
  return lines;
}

}  // namespace distillery

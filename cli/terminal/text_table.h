// Numbers and columns of text for people: the first column left-aligned, the others right.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "cli/terminal/terminal_text.h"
#include "common/base/text.h"

namespace distillery {

// "94.71 %", or "-" of nothing.
inline std::string FormatShare(int64_t count, int64_t total) {
  if (total <= 0 || count < 0) return "-";
  return absl::StrFormat("%.2f %%",
                         100.0 * static_cast<double>(count) / static_cast<double>(total));
}

// One line per row, columns two spaces apart, no space at the ends of lines. Cells become plain
// text (common/base/text.h).
inline std::string FormatTable(std::vector<std::vector<std::string>> rows) {
  std::vector<size_t> widths;
  for (auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = PlainText(row[i]);
      widths[i] = std::max(widths[i], WidthOf(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += (i == 0 ? "" : "  ") + Pad(row[i], widths[i], /*right=*/i > 0);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace distillery

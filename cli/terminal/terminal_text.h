// Text in the columns of a terminal. All characters count as one column wide.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace distillery {

// The number of columns of the terminal that `out` is; 80 if it is none.
size_t TerminalWidth(std::FILE* out);

size_t WidthOf(const std::string& text);

// The first `width` columns, the last of them an ellipsis if something was left out.
std::string Fit(const std::string& text, size_t width);

// Spaces before the text (`right`) or behind it, up to `width` columns.
std::string Pad(const std::string& text, size_t width, bool right);

// The text in at most `most_lines` lines of at most `width` columns, broken between words where it
// can be. The last line ends in an ellipsis if something was left out. REQUIRES: width and
// most_lines are above 0.
std::vector<std::string> Wrap(const std::string& text, size_t width, size_t most_lines);

}  // namespace distillery

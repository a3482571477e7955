#include "cli/experiment/results_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/terminal/text_table.h"

namespace distillery {
namespace {

std::string FormatCell(const ResultCell& cell, const ResultColumn& column) {
  if (!cell.value.has_value()) return cell.text.empty() ? "-" : cell.text;
  std::string text = absl::StrFormat("%.*f", column.decimals, *cell.value);
  if (cell.half_width.has_value()) {
    absl::StrAppendFormat(&text, " +- %.*f", column.decimals, *cell.half_width);
  }
  if (!column.unit.empty()) absl::StrAppend(&text, " ", column.unit);
  return text;
}

// At word ends, so that no line is longer than a terminal.
std::string Wrap(const std::string& text) {
  constexpr size_t kWidth = 100;
  std::string wrapped;
  size_t line = 0;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (line > 0 && line + 1 + (end - at) > kWidth) {
      wrapped += '\n';
      line = 0;
    } else if (line > 0) {
      wrapped += ' ';
      ++line;
    }
    wrapped.append(text, at, end - at);
    line += end - at;
    at = end + 1;
  }
  return wrapped + "\n";
}

// As a table, the recommended cell with a star.
std::string FormatHeatMap(const ResultFigure& map) {
  std::vector<std::vector<std::string>> rows(1);
  rows[0].push_back(absl::StrCat(map.y.label, " \\ ", map.x.label));
  for (const std::string& label : map.x_labels) rows[0].push_back(label);
  for (size_t i = 0; i < map.y_labels.size(); ++i) {
    std::vector<std::string>& cells = rows.emplace_back();
    cells.push_back(map.y_labels[i]);
    for (size_t j = 0; j < map.x_labels.size(); ++j) {
      const bool marked = map.mark.has_value() && *map.mark == std::pair<int64_t, int64_t>(i, j);
      cells.push_back(absl::StrFormat("%s%.1f", marked ? "*" : "", map.values[i][j]));
    }
  }
  return absl::StrCat("\n", map.title, "\n", FormatTable(rows), Wrap(map.note));
}

}  // namespace

std::string FormatResults(const Results& results) {
  std::string text = absl::StrCat(results.title, "\n", Wrap(results.summary));
  for (const ResultTable& table : results.tables) {
    std::vector<std::vector<std::string>> rows(1);
    for (const ResultColumn& column : table.columns) rows[0].push_back(column.name);
    for (const auto& row : table.rows) {
      std::vector<std::string>& cells = rows.emplace_back();
      for (size_t i = 0; i < row.size(); ++i) {
        cells.push_back(FormatCell(row[i], table.columns[i]));
      }
    }
    absl::StrAppend(&text, "\n", table.title, "\n", FormatTable(rows));
    if (!table.note.empty()) absl::StrAppend(&text, Wrap(table.note));
  }
  for (const ResultFigure& figure : results.figures) {
    if (figure.kind == FigureKind::kHeatMap) absl::StrAppend(&text, FormatHeatMap(figure));
  }
  return text;
}

}  // namespace distillery

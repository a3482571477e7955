#include "common/data/labelled_files.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/data/csv.h"

namespace distillery {
namespace {

absl::Status Wrong(int64_t line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(kLabelsFile, ":", line, ": ", what));
}

// -1 for a column that is not there.
int PlaceOf(const CsvRow& header, absl::string_view name) {
  for (size_t i = 0; i < header.cells.size(); ++i) {
    if (absl::StripAsciiWhitespace(header.cells[i]) == name) return static_cast<int>(i);
  }
  return -1;
}

absl::Status CheckPath(const std::string& path, int64_t line) {
  if (path.empty()) return Wrong(line, "column file is empty");
  const std::string named = absl::StrCat("file \"", Printable(path), "\" ");
  if (path[0] == '/') return Wrong(line, named + "must be a path within the data set's folder");
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return Wrong(line, named +
                             "must be a plain path within the data set's folder, without "
                             "\"//\", \".\" and \"..\"");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LabelledFiles> ParseLabelledFiles(absl::string_view text) {
  CsvReader reader(text, kLabelsFile);
  CsvRow row;
  DISTILLERY_ASSIGN_OR_RETURN(const bool any, reader.Next(&row));
  if (!any) return Wrong(1, "the file is empty; it begins with the header file,label");
  const int file = PlaceOf(row, "file");
  const int label = PlaceOf(row, "label");
  const int split = PlaceOf(row, "split");
  const size_t columns = row.cells.size();
  if (file < 0 || label < 0) {
    return Wrong(row.line, "the header must have the columns file and label, and may have split");
  }
  LabelledFiles all;
  all.has_splits = split >= 0;
  std::set<std::string> known;
  while (true) {
    DISTILLERY_ASSIGN_OR_RETURN(const bool more, reader.Next(&row));
    if (!more) return all;
    if (row.cells.size() != columns) {
      return Wrong(row.line, absl::StrCat(row.cells.size(), " cells, the header has ", columns));
    }
    const auto cell = [&](int column) {
      return std::string(absl::StripAsciiWhitespace(row.cells[static_cast<size_t>(column)]));
    };
    LabelledFile one{cell(file), cell(label), split < 0 ? "" : cell(split), row.line};
    DISTILLERY_RETURN_IF_ERROR(CheckPath(one.path, row.line));
    if (one.label.empty()) return Wrong(row.line, "column label is empty");
    if (!known.insert(one.path).second) {
      return Wrong(row.line, absl::StrCat("file \"", Printable(one.path), "\" is there twice"));
    }
    all.files.push_back(std::move(one));
  }
}

}  // namespace distillery

#include "common/data/text_rows.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/json_fields.h"
#include "common/base/status_macros.h"
#include "common/data/csv.h"

namespace distillery {
namespace {

constexpr char kText[] = "text";
constexpr char kLabel[] = "label";

// The place of a column; -1 if there are others than the two.
int PlaceOf(const CsvRow& header, absl::string_view name) {
  if (header.cells.size() != 2) return -1;
  for (int i = 0; i < 2; ++i) {
    const bool here = absl::StripAsciiWhitespace(header.cells[static_cast<size_t>(i)]) == name;
    const std::string& other = header.cells[static_cast<size_t>(1 - i)];
    const absl::string_view wanted = name == kText ? kLabel : kText;
    if (here && absl::StripAsciiWhitespace(other) == wanted) return i;
  }
  return -1;
}

void ReadLabel(JsonReader& reader, std::string* label) {
  const Json* const found = reader.Find(kLabel);
  if (found == nullptr) return;
  if (found->is_string()) {
    *label = found->get<std::string>();
  } else if (found->is_number()) {
    *label = found->dump();
  } else {
    reader.Fail(kLabel, found->is_array() ? "is a list, wanted: text or a number, one for a sample"
                                          : "must be text or a number");
  }
}

absl::StatusOr<TextRow> ParseJsonLine(absl::string_view line) {
  DISTILLERY_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(std::string(line), 1));
  TextRow row;
  absl::Status status;
  JsonReader reader(json, "", &status);
  const Json* const text = reader.Find(kText);
  if (text != nullptr && text->is_array()) {
    reader.Fail(kText, "is a list, wanted: text, one for a sample");
  } else {
    reader(kText, row.text);
  }
  ReadLabel(reader, &row.label);
  reader.Finish();
  if (!status.ok()) return status;
  return row;
}

}  // namespace

absl::StatusOr<std::vector<TextRow>> ParseJsonlTexts(absl::string_view bytes,
                                                     absl::string_view file) {
  std::vector<TextRow> rows;
  int64_t number = 0;
  for (const absl::string_view line : absl::StrSplit(bytes, '\n')) {
    ++number;
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    absl::StatusOr<TextRow> row = ParseJsonLine(line);
    if (!row.ok()) return Annotate(row.status(), absl::StrCat(file, ":", number));
    row->line = number;
    rows.push_back(*std::move(row));
  }
  return rows;
}

bool IsCsvOfTexts(absl::string_view bytes) {
  CsvRow header;
  const absl::StatusOr<bool> found = CsvReader(bytes, "").Next(&header);
  return found.ok() && *found && PlaceOf(header, kText) >= 0;
}

absl::StatusOr<std::vector<TextRow>> ParseCsvTexts(absl::string_view bytes,
                                                   absl::string_view file) {
  CsvReader reader(bytes, std::string(file));
  CsvRow row;
  DISTILLERY_RETURN_IF_ERROR(reader.Next(&row).status());
  const int text = PlaceOf(row, kText);
  const auto wrong = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":", row.line, ": ", why));
  };
  if (text < 0) return wrong("the columns are not text and label, as those of train.csv are");
  std::vector<TextRow> rows;
  while (true) {
    DISTILLERY_ASSIGN_OR_RETURN(const bool found, reader.Next(&row));
    if (!found) return rows;
    if (row.cells.size() != 2) {
      return wrong(absl::StrCat(row.cells.size(),
                                " cells, there are 2 columns; a text with commas "
                                "stands in quotes"));
    }
    rows.push_back(
        {row.line, std::move(row.cells[static_cast<size_t>(text)]),
         std::string(absl::StripAsciiWhitespace(row.cells[static_cast<size_t>(1 - text)]))});
  }
}

}  // namespace distillery

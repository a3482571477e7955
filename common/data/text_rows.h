// Texts with labels, from JSONL or CSV.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

struct TextRow {
  // In the file, from 1.
  int64_t line = 0;
  std::string text;
  std::string label;
};

// A JSON object a line, with "text" and "label", which is text or a number; empty lines are passed
// over. INVALID_ARGUMENT "train.jsonl:7: ..." for another line.
absl::StatusOr<std::vector<TextRow>> ParseJsonlTexts(absl::string_view bytes,
                                                     absl::string_view file);

// Whether the header of a CSV file has the columns text and label, and no other.
bool IsCsvOfTexts(absl::string_view bytes);
// Rows of the columns text and label, in either order. INVALID_ARGUMENT as CsvReader, and for
// another header or number of cells.
absl::StatusOr<std::vector<TextRow>> ParseCsvTexts(absl::string_view bytes, absl::string_view file);

}  // namespace distillery

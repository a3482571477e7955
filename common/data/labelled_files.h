// labels.csv: which class each file of a data set is of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

inline constexpr char kLabelsFile[] = "labels.csv";

struct LabelledFile {
  // Within the data set's folder, without "." and "..".
  std::string path;
  std::string label;
  // As written; "" if there is no such column.
  std::string split;
  int64_t line = 0;
};

struct LabelledFiles {
  std::vector<LabelledFile> files;
  bool has_splits = false;
};

// The rows below a header with the columns file and label, in any order, and perhaps split; other
// columns are not looked at. INVALID_ARGUMENT "labels.csv:17: ..." for a path that is empty,
// absolute, leads out of the folder or is there twice, and for an empty label; errors of CsvReader.
absl::StatusOr<LabelledFiles> ParseLabelledFiles(absl::string_view text);

}  // namespace distillery

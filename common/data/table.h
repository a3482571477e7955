// Tables of CSV: a header, and in each row the features of a sample and its label.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/data_options.h"
#include "common/data/samples.h"

namespace distillery {

// One input "features", float32 [n]. A column of numbers is one feature; a column of texts, or one
// that options.categorical names, is one feature for each text that train has in it, in the order
// of their bytes, which is 1 for the row's own text and 0 for the others. Features stand in the
// order of the columns. White space around a cell does not count. Labels are those of the column
// options.label, or "label", or the last one; see label_texts.h.
//   INVALID_ARGUMENT     "train.csv:17: column age: ..." for what is no number, not finite, empty,
//                        or a text that train has not; a row or a header that does not fit
//   RESOURCE_EXHAUSTED   more than max_bytes of records
absl::StatusOr<StoredSamples> ReadTable(absl::string_view train, absl::string_view test,
                                        const TableOptions& options, int64_t max_bytes);

// Rows that stand in another file, as train says that they become features.
struct TableRows {
  // "age", or "colour=red" for one text of a column.
  std::vector<std::string> feature_names;
  // [rows, feature_names.size()]
  std::vector<float> features;
};

// The rows of `text`, below a header with the feature columns of train in any order; the column of
// the labels may be there, and is not looked at. An empty text has no rows. Errors as ReadTable,
// naming `file`.
absl::StatusOr<TableRows> ReadTableRows(absl::string_view train, absl::string_view text,
                                        absl::string_view file, const TableOptions& options);

}  // namespace distillery

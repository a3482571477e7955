// Data sets of text files: tables and labelled texts in CSV, labelled texts in JSONL, and plain
// text for language models. Each holds train and test, and dataset.json where the defaults do not
// fit. The errors of all name the file and the line; RESOURCE_EXHAUSTED for a file of more than 1
// GiB, or more than kMaxStoredBytes of records; NOT_FOUND for a missing test.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/samples.h"
#include "common/data/table.h"

namespace distillery {

// Whether the folder holds train.csv.
bool HoldsCsv(const std::string& folder);
// Labelled texts (see texts.h) if the columns are text and label alone, else a table (see table.h).
absl::StatusOr<StoredSamples> ReadCsvFolder(const std::string& name, const std::string& folder);

// Rows of another table, `text`, as the folder's train.csv says: see ReadTableRows.
// INVALID_ARGUMENT, too, for a folder whose train.csv holds texts; NOT_FOUND without train.csv.
absl::StatusOr<TableRows> ReadCsvRows(const std::string& folder, absl::string_view text,
                                      absl::string_view file);

// Whether the folder holds train.jsonl.
bool HoldsJsonl(const std::string& folder);
absl::StatusOr<StoredSamples> ReadJsonlFolder(const std::string& name, const std::string& folder);

// Whether the folder holds train.txt.
bool HoldsPlainText(const std::string& folder);
absl::StatusOr<StoredSamples> ReadPlainTextFolder(const std::string& name,
                                                  const std::string& folder);

}  // namespace distillery

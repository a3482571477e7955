// Comma-separated values as RFC 4180 has them: cells in quotes may hold commas, line ends, and
// quotes twice; lines end in LF or CR LF.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

inline constexpr size_t kMaxCsvCells = 65536;

// One line, or several where a cell holds line ends.
struct CsvRow {
  // The first of them, counted from 1.
  int64_t line = 0;
  std::vector<std::string> cells;
};

// Reads a text from its start to its end, in linear time.
class CsvReader {
 public:
  // `text` must outlive this. `file` is named in messages: "train.csv:17: ...".
  CsvReader(absl::string_view text, std::string file) : rest_(text), file_(std::move(file)) {}

  // Sets `row` to the next one and returns true, or false at the end. Empty lines are passed over.
  // INVALID_ARGUMENT, naming the line, for quotes that do not fit together, a line that ends in CR
  // alone, and a row of more than kMaxCsvCells.
  absl::StatusOr<bool> Next(CsvRow* row);
  // The line that Next would read.
  int64_t line() const { return line_; }

 private:
  absl::Status ReadQuoted(std::string* cell);
  absl::Status ReadPlain(std::string* cell);
  // Takes LF or CR LF, if that is next.
  bool TakeLineEnd();
  absl::Status Wrong(absl::string_view what) const;

  absl::string_view rest_;
  const std::string file_;
  int64_t line_ = 1;
};

}  // namespace distillery

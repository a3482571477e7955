#include "common/data/csv.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace distillery {

absl::Status CsvReader::Wrong(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(file_, ":", line_, ": ", what));
}

bool CsvReader::TakeLineEnd() {
  const bool last = rest_ == "\r";  // of a file that was cut between CR and LF
  if (last) rest_ = "";
  if (!last && !absl::ConsumePrefix(&rest_, "\n") && !absl::ConsumePrefix(&rest_, "\r\n")) {
    return false;
  }
  ++line_;
  return true;
}

absl::Status CsvReader::ReadPlain(std::string* cell) {
  size_t end = rest_.find_first_of(",\n\"");
  if (end == absl::string_view::npos) end = rest_.size();
  // Of a line that ends in CR LF, or of the last one, which needs no LF.
  const bool line_ends = end == rest_.size() || rest_[end] == '\n';
  const bool carriage_return = line_ends && end > 0 && rest_[end - 1] == '\r';
  if (carriage_return) --end;
  cell->assign(rest_.data(), end);
  rest_.remove_prefix(end);
  // What old Macintosh programs write would be one long line, and a file of it a header alone.
  if (absl::StrContains(*cell, '\r')) {
    return Wrong("a line ends in CR alone: save the file with LF or CR LF at the ends of lines");
  }
  return absl::OkStatus();
}

absl::Status CsvReader::ReadQuoted(std::string* cell) {
  const int64_t first = line_;
  rest_.remove_prefix(1);
  while (true) {
    const size_t quote = rest_.find('"');
    if (quote == absl::string_view::npos) {
      line_ = first;
      return Wrong("a cell starts with a quote and has none at its end");
    }
    for (size_t i = 0; i < quote; ++i) line_ += rest_[i] == '\n' ? 1 : 0;
    cell->append(rest_.data(), quote);
    rest_.remove_prefix(quote + 1);
    if (!absl::ConsumePrefix(&rest_, "\"")) return absl::OkStatus();
    cell->push_back('"');
  }
}

absl::StatusOr<bool> CsvReader::Next(CsvRow* row) {
  while (TakeLineEnd()) continue;
  row->cells.clear();
  if (rest_.empty()) return false;
  row->line = line_;
  while (true) {
    if (row->cells.size() == kMaxCsvCells) {
      return Wrong(absl::StrCat("more than ", kMaxCsvCells, " cells"));
    }
    std::string& cell = row->cells.emplace_back();
    if (!rest_.empty() && rest_.front() == '"') {
      DISTILLERY_RETURN_IF_ERROR(ReadQuoted(&cell));
    } else {
      DISTILLERY_RETURN_IF_ERROR(ReadPlain(&cell));
    }
    if (absl::ConsumePrefix(&rest_, ",")) continue;
    if (rest_.empty() || TakeLineEnd()) return true;
    return Wrong(
        "a cell has a quote in its midst: put the whole cell in quotes and write each quote in it "
        "twice");
  }
}

}  // namespace distillery

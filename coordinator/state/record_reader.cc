#include "coordinator/state/record_reader.h"

#include <sqlite3.h>

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr int kBusyMillis = 5000;

std::string Quoted(const std::string& name) {
  std::string quoted = "\"";
  for (const char letter : name) quoted.append(letter == '"' ? 2 : 1, letter);
  return quoted + "\"";
}

std::string ValueText(const Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return absl::StrCat(*number);
  if (const auto* real = std::get_if<double>(&value)) return absl::StrCat(*real);
  return std::get<std::string>(value);
}

}  // namespace

std::string StoredRow::Text(const std::string& column) const {
  for (const auto& [name, value] : values) {
    if (name != column) continue;
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
  }
  return "";
}

int64_t StoredRow::Number(const std::string& column) const {
  for (const auto& [name, value] : values) {
    if (name != column) continue;
    if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  }
  return 0;
}

absl::StatusOr<std::unique_ptr<RecordReader>> RecordReader::Open(const std::string& path,
                                                                 Access access) {
  if (!FileExists(path)) return absl::NotFoundError(absl::StrCat("there is no ", path));
  sqlite3* handle = nullptr;
  const int flags = access == Access::kMend ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<RecordReader> reader(new RecordReader(handle));
  if (code != SQLITE_OK) return reader->Error(absl::StrCat("cannot open ", path), code);
  sqlite3_busy_timeout(handle, kBusyMillis);
  if (access == Access::kMend) {
    DISTILLERY_RETURN_IF_ERROR(reader->Execute("PRAGMA synchronous=FULL"));
    DISTILLERY_RETURN_IF_ERROR(reader->Execute("BEGIN IMMEDIATE"));
  } else {
    DISTILLERY_RETURN_IF_ERROR(reader->Execute("BEGIN"));
  }
  return reader;
}

RecordReader::~RecordReader() { sqlite3_close_v2(handle_); }

absl::Status RecordReader::Error(const std::string& what, int code) const {
  const std::string text = absl::StrCat("record: ", what, ": ", sqlite3_errmsg(handle_));
  switch (code & 0xFF) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(text);
    default:
      return absl::UnavailableError(text);
  }
}

absl::Status RecordReader::Execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(sql, code);
}

namespace {

// Steps through a statement's rows. SQLite's code: SQLITE_DONE if all were seen.
int ForEachRow(sqlite3* handle, const std::string& sql,
               const std::function<void(sqlite3_stmt*)>& body) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(handle, sql.c_str(), -1, &statement, nullptr);
  if (code != SQLITE_OK) return code;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) body(statement);
  sqlite3_finalize(statement);
  return code;
}

std::string TextOf(sqlite3_stmt* statement, int column) {
  return ValueText(ColumnValue(statement, column));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> RecordReader::Tables() {
  std::vector<std::string> tables;
  const int code =
      ForEachRow(handle_, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid",
                 [&](sqlite3_stmt* statement) { tables.push_back(TextOf(statement, 0)); });
  if (code != SQLITE_DONE) return Error("cannot read the list of tables", code);
  return tables;
}

absl::StatusOr<std::vector<RecordReader::Column>> RecordReader::Columns(const std::string& table) {
  std::vector<Column> columns;
  const int code = ForEachRow(handle_, absl::StrCat("PRAGMA table_info(", Quoted(table), ")"),
                              [&](sqlite3_stmt* statement) {
                                columns.push_back({TextOf(statement, 1), TextOf(statement, 2),
                                                   sqlite3_column_int(statement, 5) > 0});
                              });
  if (code != SQLITE_DONE) return Error(absl::StrCat("cannot read table ", table), code);
  if (columns.size() < 2 || columns.back().name != "crc") {
    return absl::DataLossError(absl::StrCat("record: table ", table, " is not the coordinator's"));
  }
  columns.pop_back();
  return columns;
}

absl::Status RecordReader::Read(const std::string& table, std::vector<StoredRow>* rows) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Column> columns, Columns(table));
  std::vector<std::string> keys;
  for (const Column& column : columns) {
    if (column.key) keys.push_back(Quoted(column.name));
  }
  const std::string order = keys.empty() ? "rowid" : absl::StrJoin(keys, ", ");
  const int code =
      ForEachRow(handle_, absl::StrCat("SELECT rowid, * FROM ", Quoted(table), " ORDER BY ", order),
                 [&](sqlite3_stmt* statement) {
                   StoredRow row;
                   row.rowid = sqlite3_column_int64(statement, 0);
                   std::vector<std::string> key;
                   Row values;
                   for (size_t i = 0; i < columns.size(); ++i) {
                     values.push_back(ColumnValue(statement, static_cast<int>(i) + 1));
                     if (columns[i].key) key.push_back(ValueText(values.back()));
                     row.values.emplace_back(columns[i].name, values.back());
                   }
                   row.key = absl::StrJoin(key, ", ");
                   const int at = static_cast<int>(columns.size()) + 1;
                   row.sound = sqlite3_column_type(statement, at) == SQLITE_INTEGER &&
                               sqlite3_column_int64(statement, at) == RowChecksum(values);
                   rows->push_back(std::move(row));
                 });
  return code == SQLITE_DONE ? absl::OkStatus() : Error(absl::StrCat("table ", table), code);
}

absl::StatusOr<std::vector<std::string>> RecordReader::StructureProblems() {
  std::vector<std::string> problems;
  const int code = ForEachRow(handle_, "PRAGMA integrity_check(20)", [&](sqlite3_stmt* statement) {
    const std::string text = TextOf(statement, 0);
    if (text != "ok") problems.push_back(text);
  });
  if (code != SQLITE_DONE) return Error("cannot be checked", code);
  return problems;
}

absl::Status RecordReader::Drop(const std::string& table, int64_t rowid) {
  return Execute(absl::StrCat("DELETE FROM ", Quoted(table), " WHERE rowid = ", rowid));
}

absl::Status RecordReader::Put(const std::string& table,
                               const std::vector<std::pair<std::string, Value>>& values) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Column> columns, Columns(table));
  Row row;
  for (const Column& column : columns) {
    const auto given = std::find_if(values.begin(), values.end(),
                                    [&](const auto& value) { return value.first == column.name; });
    if (given != values.end()) {
      row.push_back(given->second);
    } else if (column.type == "TEXT") {
      row.emplace_back(std::string());
    } else if (column.type == "REAL") {
      row.emplace_back(0.0);
    } else {
      row.emplace_back(int64_t{0});
    }
  }
  const std::vector<std::string> marks(row.size() + 1, "?");
  const std::string sql = absl::StrCat("INSERT OR REPLACE INTO ", Quoted(table), " VALUES (",
                                       absl::StrJoin(marks, ", "), ")");
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr);
  if (code != SQLITE_OK) return Error(sql, code);
  BindRow(statement, row);
  code = sqlite3_step(statement);
  sqlite3_finalize(statement);
  return code == SQLITE_DONE ? absl::OkStatus() : Error(absl::StrCat("table ", table), code);
}

absl::Status RecordReader::Commit() { return Execute("COMMIT"); }

}  // namespace distillery

#include "coordinator/table.h"

#include <sqlite3.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/checksum.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A text of the row in which no two rows look alike, but for what SQLite keeps alike: it stores -0.0
// as 0 and any NaN as NULL.
std::string Serialise(const Row& row) {
  std::string text;
  for (const Value& value : row) {
    if (const auto* number = std::get_if<int64_t>(&value)) {
      absl::StrAppend(&text, "i", *number, ";");
    } else if (const auto* real = std::get_if<double>(&value)) {
      const double kept = std::isnan(*real) ? kNan : *real + 0.0;  // -0.0 + 0.0 is 0.0
      uint64_t bits = 0;
      std::memcpy(&bits, &kept, sizeof(bits));
      absl::StrAppend(&text, "d", bits, ";");
    } else {
      const auto& bytes = std::get<std::string>(value);
      absl::StrAppend(&text, "s", bytes.size(), ":", bytes, ";");
    }
  }
  return text;
}

Value ReadColumn(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: return static_cast<int64_t>(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT: return sqlite3_column_double(statement, column);
    case SQLITE_NULL: return kNan;  // Put binds no other NULL
    default: {
      const void* const bytes = sqlite3_column_blob(statement, column);
      const int size = sqlite3_column_bytes(statement, column);
      return bytes == nullptr ? std::string()
                              : std::string(static_cast<const char*>(bytes),
                                            static_cast<size_t>(size));
    }
  }
}

std::string KeyText(const Row& row, int key_columns) {
  std::vector<std::string> parts;
  for (int i = 0; i < key_columns; ++i) {
    if (const auto* number = std::get_if<int64_t>(&row[i])) {
      parts.push_back(absl::StrCat(*number));
    } else if (const auto* text = std::get_if<std::string>(&row[i])) {
      parts.push_back(*text);
    }
  }
  return absl::StrJoin(parts, ", ");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  std::unique_ptr<Database> database(new Database(handle));
  if (code != SQLITE_OK) return database->Error(absl::StrCat("cannot open ", path), code);
  sqlite3_busy_timeout(handle, 5000);
  DISTILLERY_RETURN_IF_ERROR(database->Execute("PRAGMA journal_mode=WAL"));
  DISTILLERY_RETURN_IF_ERROR(database->Execute("PRAGMA synchronous=FULL"));
  return database;
}

Database::~Database() { sqlite3_close_v2(handle_); }

absl::Status Database::Error(const std::string& what, int code) const {
  const std::string text = absl::StrCat("record: ", what, ": ", sqlite3_errmsg(handle_));
  switch (code & 0xFF) {
    case SQLITE_FULL: return absl::ResourceExhaustedError(text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return absl::DataLossError(text);
    default: return absl::UnavailableError(text);
  }
}

absl::Status Database::Execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(sql, code);
}

absl::Status Database::Transaction(const std::function<absl::Status()>& body) {
  DISTILLERY_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  absl::Status status = body();
  if (status.ok()) status = Execute("COMMIT");
  if (!status.ok()) (void)Execute("ROLLBACK");
  return status;
}

absl::StatusOr<Table> Table::Open(Database* database, const std::string& name,
                                  const std::vector<std::string>& columns, int key_columns) {
  std::vector<std::string> keys;
  keys.reserve(static_cast<size_t>(key_columns));
  for (int i = 0; i < key_columns; ++i) {
    keys.push_back(std::string(*absl::StrSplit(columns[i], ' ').begin()));
  }
  DISTILLERY_RETURN_IF_ERROR(database->Execute(
      absl::StrCat("CREATE TABLE IF NOT EXISTS ", name, " (", absl::StrJoin(columns, ", "),
                   ", crc INTEGER NOT NULL, PRIMARY KEY (", absl::StrJoin(keys, ", "), "))")));
  Table table(database, name, columns.size(), key_columns);
  const std::vector<std::string> marks(columns.size() + 1, "?");
  const std::string put = absl::StrCat("INSERT OR REPLACE INTO ", name, " VALUES (",
                                       absl::StrJoin(marks, ", "), ")");
  const std::string load =
      absl::StrCat("SELECT * FROM ", name, " ORDER BY ", absl::StrJoin(keys, ", "));
  const auto prepare = [&](const std::string& sql, sqlite3_stmt** statement) {
    const int code = sqlite3_prepare_v2(database->handle_, sql.c_str(), -1, statement, nullptr);
    return code == SQLITE_OK ? absl::OkStatus() : database->Error(sql, code);
  };
  DISTILLERY_RETURN_IF_ERROR(prepare(load, &table.load_));
  if (sqlite3_column_count(table.load_) != static_cast<int>(columns.size()) + 1) {
    return absl::FailedPreconditionError(absl::StrCat(
        "record: table ", name, " was made by another version of the coordinator"));
  }
  DISTILLERY_RETURN_IF_ERROR(prepare(put, &table.put_));
  return table;
}

Table::Table(Table&& other) noexcept
    : database_(other.database_),
      name_(std::move(other.name_)),
      columns_(other.columns_),
      key_columns_(other.key_columns_),
      put_(std::exchange(other.put_, nullptr)),
      load_(std::exchange(other.load_, nullptr)) {}

Table::~Table() {
  sqlite3_finalize(put_);
  sqlite3_finalize(load_);
}

absl::Status Table::Put(const Row& row) {
  for (size_t i = 0; i < row.size(); ++i) {
    const int at = static_cast<int>(i) + 1;
    if (const auto* number = std::get_if<int64_t>(&row[i])) {
      sqlite3_bind_int64(put_, at, *number);
    } else if (const auto* real = std::get_if<double>(&row[i])) {
      sqlite3_bind_double(put_, at, *real);
    } else {
      const auto& text = std::get<std::string>(row[i]);
      sqlite3_bind_text(put_, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
    }
  }
  sqlite3_bind_int64(put_, static_cast<int>(row.size()) + 1, Crc32c(Serialise(row)));
  const int code = sqlite3_step(put_);
  absl::Status status = code == SQLITE_DONE
                            ? absl::OkStatus()
                            : database_->Error(absl::StrCat("cannot write ", name_), code);
  sqlite3_reset(put_);
  sqlite3_clear_bindings(put_);
  return status;
}

absl::StatusOr<std::vector<Row>> Table::Load() {
  std::vector<Row> rows;
  absl::Status status;
  int code = SQLITE_ROW;
  while (status.ok() && (code = sqlite3_step(load_)) == SQLITE_ROW) {
    Row row;
    for (size_t i = 0; i < columns_; ++i) row.push_back(ReadColumn(load_, static_cast<int>(i)));
    const int64_t crc = sqlite3_column_int64(load_, static_cast<int>(columns_));
    if (crc != static_cast<int64_t>(Crc32c(Serialise(row)))) {
      status = absl::DataLossError(absl::StrCat("record: table ", name_, ", row (",
                                                KeyText(row, key_columns_),
                                                "): its checksum differs, the row is damaged"));
    }
    rows.push_back(std::move(row));
  }
  if (status.ok() && code != SQLITE_DONE) {
    status = database_->Error(absl::StrCat("cannot read ", name_), code);
  }
  sqlite3_reset(load_);
  if (!status.ok()) return status;
  return rows;
}

}  // namespace distillery

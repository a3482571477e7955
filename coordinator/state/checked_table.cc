#include "coordinator/state/checked_table.h"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/checksum.h"
#include "common/base/disk_errors.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A text of the row in which no two rows look alike, but for what SQLite keeps alike: it stores
// -0.0 as 0 and any NaN as NULL.
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

Value EmptyValue(const std::string& column) {
  const std::string type = column.substr(column.find(' ') + 1);
  if (type == "TEXT") return std::string();
  if (type == "REAL") return 0.0;
  return int64_t{0};
}

int64_t RowChecksum(const Row& row) { return static_cast<int64_t>(Crc32c(Serialise(row))); }

Value ColumnValue(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return static_cast<int64_t>(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_NULL:
      return kNan;  // Put binds no other NULL
    default: {
      const void* const bytes = sqlite3_column_blob(statement, column);
      const int size = sqlite3_column_bytes(statement, column);
      return bytes == nullptr
                 ? std::string()
                 : std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
    }
  }
}

namespace {

// `row` must outlive the statement's steps.
void BindValues(sqlite3_stmt* statement, const Row& row) {
  for (size_t i = 0; i < row.size(); ++i) {
    const int at = static_cast<int>(i) + 1;
    if (const auto* number = std::get_if<int64_t>(&row[i])) {
      sqlite3_bind_int64(statement, at, *number);
    } else if (const auto* real = std::get_if<double>(&row[i])) {
      sqlite3_bind_double(statement, at, *real);
    } else {
      const auto& text = std::get<std::string>(row[i]);
      sqlite3_bind_text(statement, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
    }
  }
}

}  // namespace

void BindRow(sqlite3_stmt* statement, const Row& row) {
  BindValues(statement, row);
  sqlite3_bind_int64(statement, static_cast<int>(row.size()) + 1, RowChecksum(row));
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  if (!FileExists(path)) {
    // An empty file is an empty database. Its log and its index get the rights that it has.
    // What is wrong with a path SQLite says below.
    const auto file = OutputFile::Create(path, Readers::kOwner);
    if (file.ok()) DISTILLERY_RETURN_IF_ERROR((*file)->Keep());
  }
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<Database> database(new Database(handle));
  if (code != SQLITE_OK) return database->Error(absl::StrCat("cannot open ", path), code);
  sqlite3_busy_timeout(handle, 5000);
  DISTILLERY_RETURN_IF_ERROR(database->Execute("PRAGMA journal_mode=WAL"));
  DISTILLERY_RETURN_IF_ERROR(database->Execute("PRAGMA synchronous=FULL"));
  return database;
}

Database::~Database() { sqlite3_close_v2(handle_); }

absl::Status Database::Error(const std::string& what, int code) const {
  const int detail = sqlite3_extended_errcode(handle_);
  const int error_number = sqlite3_system_errno(handle_);
  const bool full =
      (code & 0xFF) == SQLITE_FULL ||
      ((code & 0xFF) == SQLITE_IOERR && (error_number == ENOSPC || error_number == EDQUOT));
  const std::string text = absl::StrCat("record: ", what, ": ", sqlite3_errmsg(handle_));
  absl::Status status = absl::UnavailableError(text);
  if (detail == SQLITE_IOERR_FSYNC || detail == SQLITE_IOERR_DIR_FSYNC) {
    // For whatever reason: what it wrote may be gone.
    status = MarkSyncFailure(status);
  } else if (full) {
    status = MarkDiskFull(absl::ResourceExhaustedError(text));
  } else if ((code & 0xFF) == SQLITE_CANTOPEN &&
             (error_number == EMFILE || error_number == ENFILE)) {
    status = MarkNoDescriptors(status);
  } else if ((code & 0xFF) == SQLITE_CORRUPT || (code & 0xFF) == SQLITE_NOTADB) {
    status = absl::DataLossError(text);
  }
  if (error_observer_ != nullptr) error_observer_(status);
  return status;
}

absl::Status Database::Execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(sql, code);
}

absl::Status Database::Transaction(const std::function<absl::Status()>& body) {
  DISTILLERY_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  absl::Status status = body();
  if (status.ok()) status = Execute("COMMIT");
  if (status.ok()) {
    NoteCommit();
  } else {
    (void)Execute("ROLLBACK");
  }
  return status;
}

absl::Status Database::DeferSync(GroupCommit* group) {
  // WAL mode with NORMAL syncs at checkpoints alone, and those it still does itself, in their
  // order.
  DISTILLERY_RETURN_IF_ERROR(Execute("PRAGMA synchronous=NORMAL"));
  group_ = group;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Database::ColumnNames(const std::string& table) {
  sqlite3_stmt* statement = nullptr;
  const std::string sql = absl::StrCat("SELECT name FROM pragma_table_info('", table, "')");
  int code = sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr);
  if (code != SQLITE_OK) return Error(sql, code);
  std::vector<std::string> names;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    names.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
  }
  sqlite3_finalize(statement);
  if (code != SQLITE_DONE) return Error(sql, code);
  return names;
}

namespace {

std::string NameOf(const std::string& column) { return column.substr(0, column.find(' ')); }

std::vector<std::string> NamesOf(const std::vector<std::string>& columns) {
  std::vector<std::string> names;
  names.reserve(columns.size());
  for (const std::string& column : columns) names.push_back(NameOf(column));
  return names;
}

bool HasType(const Value& value, size_t type) { return value.index() == type; }

}  // namespace

absl::StatusOr<Table> Table::Open(Database* database, const std::string& name,
                                  const std::vector<std::string>& columns, int key_columns) {
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<std::string> found, database->ColumnNames(name));
  if (!found.empty()) {
    found.pop_back();  // crc
    if (found != NamesOf(columns)) {
      DISTILLERY_RETURN_IF_ERROR(database->Transaction(
          [&] { return Migrate(database, name, found, columns, key_columns); }));
    }
  }
  return Prepare(database, name, columns, key_columns);
}

absl::Status Table::Migrate(Database* database, const std::string& name,
                            const std::vector<std::string>& old_names,
                            const std::vector<std::string>& columns, int key_columns) {
  const std::vector<std::string> names = NamesOf(columns);
  for (const std::string& old : old_names) {
    if (std::find(names.begin(), names.end(), old) == names.end()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "record: table ", name, " was made by another version of the coordinator: its column ",
          old, " is not known here"));
    }
  }
  const std::string old_table = name + "_before_migration";
  DISTILLERY_RETURN_IF_ERROR(
      database->Execute(absl::StrCat("ALTER TABLE ", name, " RENAME TO ", old_table)));
  std::vector<Row> rows;
  {
    // Key columns keep their places, so that a damaged row is named as before.
    DISTILLERY_ASSIGN_OR_RETURN(Table old, Prepare(database, old_table, old_names, key_columns));
    old.name_ = name;
    DISTILLERY_ASSIGN_OR_RETURN(rows, old.Load());
  }
  {
    DISTILLERY_ASSIGN_OR_RETURN(Table table, Prepare(database, name, columns, key_columns));
    for (const Row& old : rows) {
      Row row;
      for (const std::string& column : columns) {
        const auto at = std::find(old_names.begin(), old_names.end(), NameOf(column));
        row.push_back(at == old_names.end() ? EmptyValue(column)
                                            : old[static_cast<size_t>(at - old_names.begin())]);
      }
      DISTILLERY_RETURN_IF_ERROR(table.Put(row));
    }
  }
  return database->Execute(absl::StrCat("DROP TABLE ", old_table));
}

absl::StatusOr<Table> Table::Prepare(Database* database, const std::string& name,
                                     const std::vector<std::string>& columns, int key_columns) {
  std::vector<std::string> keys = NamesOf(columns);
  keys.resize(static_cast<size_t>(key_columns));
  DISTILLERY_RETURN_IF_ERROR(database->Execute(
      absl::StrCat("CREATE TABLE IF NOT EXISTS ", name, " (", absl::StrJoin(columns, ", "),
                   ", crc INTEGER NOT NULL, PRIMARY KEY (", absl::StrJoin(keys, ", "), "))")));
  Table table(database, name, columns.size(), key_columns, absl::StrJoin(keys, ", "));
  for (const std::string& column : columns) {
    // A table that is about to be migrated is known by its names alone.
    if (column.find(' ') != std::string::npos) table.types_.push_back(EmptyValue(column).index());
  }
  const std::vector<std::string> marks(columns.size() + 1, "?");
  const std::string put =
      absl::StrCat("INSERT OR REPLACE INTO ", name, " VALUES (", absl::StrJoin(marks, ", "), ")");
  const std::string load = absl::StrCat("SELECT * FROM ", name, " ORDER BY ", table.keys_);
  const auto prepare = [&](const std::string& sql, sqlite3_stmt** statement) {
    const int code = sqlite3_prepare_v2(database->handle_, sql.c_str(), -1, statement, nullptr);
    return code == SQLITE_OK ? absl::OkStatus() : database->Error(sql, code);
  };
  DISTILLERY_RETURN_IF_ERROR(prepare(load, &table.load_));
  DISTILLERY_RETURN_IF_ERROR(prepare(put, &table.put_));
  return table;
}

Table::Table(Table&& other) noexcept
    : database_(other.database_),
      name_(std::move(other.name_)),
      columns_(other.columns_),
      key_columns_(other.key_columns_),
      types_(std::move(other.types_)),
      keys_(std::move(other.keys_)),
      put_(std::exchange(other.put_, nullptr)),
      load_(std::exchange(other.load_, nullptr)) {}

Table::~Table() {
  sqlite3_finalize(put_);
  sqlite3_finalize(load_);
}

absl::Status Table::Put(const Row& row) {
  BindRow(put_, row);
  const int code = sqlite3_step(put_);
  absl::Status status = code == SQLITE_DONE
                            ? absl::OkStatus()
                            : database_->Error(absl::StrCat("cannot write ", name_), code);
  sqlite3_reset(put_);
  if (status.ok() && sqlite3_get_autocommit(database_->handle_) != 0) database_->NoteCommit();
  sqlite3_clear_bindings(put_);
  return status;
}

absl::Status Table::Erase(const std::string& column, const std::string& value,
                          const std::string& condition) {
  sqlite3_stmt* statement = nullptr;
  const std::string sql = absl::StrCat("DELETE FROM ", name_, " WHERE ", column, " = ?",
                                       condition.empty() ? "" : " AND ", condition);
  int code = sqlite3_prepare_v2(database_->handle_, sql.c_str(), -1, &statement, nullptr);
  if (code == SQLITE_OK) {
    sqlite3_bind_text(statement, 1, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
    code = sqlite3_step(statement);
  }
  absl::Status status = code == SQLITE_DONE ? absl::OkStatus() : database_->Error(sql, code);
  sqlite3_finalize(statement);
  if (status.ok() && sqlite3_get_autocommit(database_->handle_) != 0) database_->NoteCommit();
  return status;
}

absl::StatusOr<std::vector<Row>> Table::Load() {
  absl::StatusOr<std::vector<Row>> rows = ReadRows(load_);
  sqlite3_reset(load_);
  return rows;
}

absl::StatusOr<std::vector<Row>> Table::Select(const std::string& condition, const Row& values,
                                               int64_t limit) {
  const std::string sql = absl::StrCat("SELECT * FROM ", name_, " WHERE ", condition, " ORDER BY ",
                                       keys_, " LIMIT ", limit);
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(database_->handle_, sql.c_str(), -1, &statement, nullptr);
  if (code != SQLITE_OK) return database_->Error(sql, code);
  BindValues(statement, values);
  absl::StatusOr<std::vector<Row>> rows = ReadRows(statement);
  sqlite3_finalize(statement);
  return rows;
}

absl::StatusOr<std::vector<Row>> Table::ReadRows(sqlite3_stmt* statement) {
  std::vector<Row> rows;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    Row row;
    for (size_t i = 0; i < columns_; ++i) {
      row.push_back(ColumnValue(statement, static_cast<int>(i)));
    }
    const int64_t crc = sqlite3_column_int64(statement, static_cast<int>(columns_));
    const bool typed =
        types_.empty() || std::equal(row.begin(), row.end(), types_.begin(), HasType);
    if (crc != RowChecksum(row) || !typed) {
      return absl::DataLossError(absl::StrCat(
          "record: table ", name_, ", row (", KeyText(row, key_columns_),
          "): its checksum differs, the row is damaged; `coordinator state check DIR` lists all "
          "damage and what can be done about it"));
    }
    rows.push_back(std::move(row));
  }
  if (code != SQLITE_DONE) return database_->Error(absl::StrCat("cannot read ", name_), code);
  return rows;
}

}  // namespace distillery

// SQLite tables whose every row carries a CRC-32C over its own values: SQLite itself does not see a
// flipped bit in a stored value.
//
// Threads: one at a time; the owner guards the database.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/state/group_commit.h"

struct sqlite3;
struct sqlite3_stmt;

namespace distillery {

using Value = std::variant<int64_t, double, std::string>;
using Row = std::vector<Value>;

// What the column `crc` holds for these values.
int64_t RowChecksum(const Row& row);
// The value of a column, such as "run_id TEXT", in rows that are older than the column: 0 or "".
Value EmptyValue(const std::string& column);
// The value of a column of the row that the statement is at.
Value ColumnValue(sqlite3_stmt* statement, int column);
// Binds the values and, behind them, their checksum. The row must live until the statement is
// reset.
void BindRow(sqlite3_stmt* statement, const Row& row);

// One database file in WAL mode with synchronous=FULL: what Commit returned OK for survives a
// crash; after DeferSync it survives one once the GroupCommit says so.
class Database {
 public:
  // UNAVAILABLE with SQLite's reason; RESOURCE_EXHAUSTED if the disk is full, DATA_LOSS if the file
  // is damaged. Errors carry the marks of common/base/disk_errors.h.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();

  absl::Status Execute(const std::string& sql);
  // From now on commits are in the operating system's hands when they return, and `group` is told
  // of each. It must outlive this.
  absl::Status DeferSync(GroupCommit* group);
  // Called with each error, from then on.
  void SetErrorObserver(std::function<void(const absl::Status&)> observer) {
    error_observer_ = std::move(observer);
  }
  // Names of the table's columns; none if there is no such table.
  absl::StatusOr<std::vector<std::string>> ColumnNames(const std::string& table);
  // Runs `body` in one transaction: committed if it returns OK, else rolled back.
  absl::Status Transaction(const std::function<absl::Status()>& body);

 private:
  friend class Table;
  explicit Database(sqlite3* handle) : handle_(handle) {}
  absl::Status Error(const std::string& what, int code) const;
  void NoteCommit() {
    if (group_ != nullptr) group_->NoteCommit();
  }
  sqlite3* const handle_;
  GroupCommit* group_ = nullptr;
  std::function<void(const absl::Status&)> error_observer_;
};

class Table {
 public:
  // `columns` as in CREATE TABLE ("run_id TEXT"), the first `key_columns` of them the primary key;
  // a column `crc` is added. The table is made if it is not there. One that an older version made,
  // with fewer columns, is brought up to these in one transaction: its rows are checked, and what
  // they lack becomes 0 or "". FAILED_PRECONDITION for one with columns that are not known here.
  static absl::StatusOr<Table> Open(Database* database, const std::string& name,
                                    const std::vector<std::string>& columns, int key_columns);
  Table(Table&&) noexcept;
  ~Table();

  // Inserts or replaces the row of the same key. REQUIRES: one value per column.
  absl::Status Put(const Row& row);
  // Removes the rows whose `column` is `value`, those alone for which the SQL `condition` holds if
  // one is given.
  absl::Status Erase(const std::string& column, const std::string& value,
                     const std::string& condition = "");
  // All rows in key order. DATA_LOSS names the table and the key of the first row whose crc
  // differs.
  absl::StatusOr<std::vector<Row>> Load();
  // Those for which the SQL `condition` holds, its ? being `values` in order; the first `limit` of
  // them.
  absl::StatusOr<std::vector<Row>> Select(const std::string& condition, const Row& values,
                                          int64_t limit);

 private:
  // Steps through a statement that gives whole rows.
  absl::StatusOr<std::vector<Row>> ReadRows(sqlite3_stmt* statement);
  static absl::StatusOr<Table> Prepare(Database* database, const std::string& name,
                                       const std::vector<std::string>& columns, int key_columns);
  // The table is there, with `old_names` for columns.
  static absl::Status Migrate(Database* database, const std::string& name,
                              const std::vector<std::string>& old_names,
                              const std::vector<std::string>& columns, int key_columns);
  Table(Database* database, std::string name, size_t columns, int key_columns, std::string keys)
      : database_(database),
        name_(std::move(name)),
        columns_(columns),
        key_columns_(key_columns),
        keys_(std::move(keys)) {}
  Database* database_;
  std::string name_;
  size_t columns_;
  int key_columns_;
  // The types of the columns, as indexes of the Value's alternatives.
  std::vector<size_t> types_;
  // "run_id, round"
  std::string keys_;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* load_ = nullptr;
};

}  // namespace distillery

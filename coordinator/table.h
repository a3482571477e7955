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

struct sqlite3;
struct sqlite3_stmt;

namespace distillery {

using Value = std::variant<int64_t, double, std::string>;
using Row = std::vector<Value>;

// One database file in WAL mode with synchronous=FULL: what Commit returned OK for survives a crash.
class Database {
 public:
  // UNAVAILABLE with SQLite's reason; RESOURCE_EXHAUSTED if the disk is full.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();

  absl::Status Execute(const std::string& sql);
  // Runs `body` in one transaction: committed if it returns OK, else rolled back.
  absl::Status Transaction(const std::function<absl::Status()>& body);

 private:
  friend class Table;
  explicit Database(sqlite3* handle) : handle_(handle) {}
  absl::Status Error(const std::string& what, int code) const;
  sqlite3* const handle_;
};

class Table {
 public:
  // `columns` as in CREATE TABLE ("run_id TEXT"), the first `key_columns` of them the primary key; a
  // column `crc` is added. The table is made if it is not there.
  static absl::StatusOr<Table> Open(Database* database, const std::string& name,
                                    const std::vector<std::string>& columns, int key_columns);
  Table(Table&&) noexcept;
  ~Table();

  // Inserts or replaces the row of the same key. REQUIRES: one value per column.
  absl::Status Put(const Row& row);
  // All rows in key order. DATA_LOSS names the table and the key of the first row whose crc differs.
  absl::StatusOr<std::vector<Row>> Load();

 private:
  Table(Database* database, std::string name, size_t columns, int key_columns)
      : database_(database), name_(std::move(name)), columns_(columns), key_columns_(key_columns) {}
  Database* database_;
  std::string name_;
  size_t columns_;
  int key_columns_;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* load_ = nullptr;
};

}  // namespace distillery

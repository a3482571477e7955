// The record as it stands on disk, read without knowing its schema, so that a damaged one, or one
// of another version, can be looked at, exported and mended.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/state/checked_table.h"

namespace distillery {

struct StoredRow {
  int64_t rowid = 0;
  // Values of the primary key, for people.
  std::string key;
  // Its checksum is that of its values.
  bool sound = false;
  // By column, without the checksum.
  std::vector<std::pair<std::string, Value>> values;

  // "" or 0 if there is no such column, or it holds another type.
  std::string Text(const std::string& column) const;
  int64_t Number(const std::string& column) const;
};

class RecordReader {
 public:
  enum class Access { kRead, kMend };

  // All reads see the record as it was at Open, whoever writes meanwhile. NOT_FOUND; DATA_LOSS for
  // a file that is no database.
  static absl::StatusOr<std::unique_ptr<RecordReader>> Open(const std::string& path, Access access);
  ~RecordReader();

  // In the order in which they were made.
  absl::StatusOr<std::vector<std::string>> Tables();
  // In key order. Rows that can be read are added to *rows even if this fails (DATA_LOSS: pages of
  // the file are damaged).
  absl::Status Read(const std::string& table, std::vector<StoredRow>* rows);
  // What SQLite finds wrong with the file's structure; at most 20 lines.
  absl::StatusOr<std::vector<std::string>> StructureProblems();

  // With kMend; durable once Commit has returned OK.
  absl::Status Drop(const std::string& table, int64_t rowid);
  // Puts a row with its checksum: `values` by column, 0 or "" for the others.
  absl::Status Put(const std::string& table,
                   const std::vector<std::pair<std::string, Value>>& values);
  absl::Status Commit();

 private:
  struct Column {
    std::string name;
    std::string type;
    bool key = false;
  };
  explicit RecordReader(sqlite3* handle) : handle_(handle) {}
  absl::Status Error(const std::string& what, int code) const;
  absl::Status Execute(const std::string& sql);
  absl::StatusOr<std::vector<Column>> Columns(const std::string& table);
  sqlite3* const handle_;
};

}  // namespace distillery

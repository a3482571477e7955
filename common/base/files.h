// Files: bounded reads, durable writes, mappings. Errors name the file and the system's reason.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace distillery {

// The status for `errno` after `what` failed: NOT_FOUND for ENOENT, RESOURCE_EXHAUSTED for ENOSPC
// and EDQUOT, else UNAVAILABLE.
absl::Status ErrnoStatus(int error_number, absl::string_view what);

bool FileExists(const std::string& path);

// Makes the folder and those above it.
absl::Status MakeFolders(const std::string& path);

// RESOURCE_EXHAUSTED if the file is larger than max_bytes.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes);

// Replaces the file in one step: temporary file, write, fsync, rename, fsync of the folder. After a
// crash there is the old or the new content, never a mixture.
absl::Status WriteFileDurably(const std::string& path, absl::string_view bytes);

// Renames and makes the rename durable. Both names must be in one file system.
absl::Status RenameDurably(const std::string& from, const std::string& to);

absl::Status SyncFolder(const std::string& folder);

// Removes one file; a missing file is no error.
absl::Status RemoveFile(const std::string& path);

// The part after the last '/', and the part before it ("." if there is none).
std::string BaseName(const std::string& path);
std::string FolderOf(const std::string& path);

// A file opened for sequential writing; unlinked by the destructor unless kept. What is appended goes
// to the disk behind the writer's back, so that Sync finds little left to do. Not thread-safe.
class OutputFile {
 public:
  static absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string& path);
  ~OutputFile();
  absl::Status Append(absl::string_view bytes);
  // One after the other.
  absl::Status Append(absl::Span<const absl::string_view> pieces);
  // Makes the content durable (not the name: see RenameDurably).
  absl::Status Sync();
  // Closes and leaves the file in place.
  absl::Status Keep();
  int64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  OutputFile(std::string path, int descriptor);
  const std::string path_;
  int descriptor_;
  int64_t size_ = 0;
  int64_t sent_ = 0;
};

// A read-only mapping of a whole file. Immutable, so safe for all threads.
class MappedFile {
 public:
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::string& path);
  ~MappedFile();
  absl::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
  MappedFile(void* data, size_t size) : data_(data), size_(size) {}
  void* const data_;
  const size_t size_;
};

// Holds a folder for one process by a locked file in it. Released by the destructor or by the
// process's end. FAILED_PRECONDITION "folder in use by process N" if another holds it.
class FolderLock {
 public:
  static absl::StatusOr<std::unique_ptr<FolderLock>> Acquire(const std::string& folder);
  ~FolderLock();

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  const int descriptor_;
};

}  // namespace distillery

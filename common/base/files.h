// Files: bounded reads, durable writes, locks. Errors name the file and the system's reason, and
// carry the marks of disk_errors.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/descriptor.h"
#include "common/base/disk_errors.h"

namespace distillery {

bool FileExists(const std::string& path);

// Who may read a new file or folder: what services keep for themselves is for their user alone
// (0600, 0700), what is made for people is as their umask says.
enum class Readers { kUmask, kOwner };

// Makes the folder and those above it. With kOwner the last one is for its owner alone, also if it
// was there.
absl::Status MakeFolders(const std::string& path, Readers readers = Readers::kUmask);

// Takes others' rights from the file, or from the folder and all that is in it; does not follow
// links. A path that is not there is no error; neither is one of another user's, which is logged.
void MakePrivate(const std::string& path);

// RESOURCE_EXHAUSTED if the file is larger than max_bytes.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes);

// Replaces the file in one step: temporary file, write, fsync, rename, fsync of the folder. After a
// crash there is the old or the new content, never a mixture.
absl::Status WriteFileDurably(const std::string& path, absl::string_view bytes,
                              Readers readers = Readers::kUmask);

// Renames and makes the rename durable. Both names must be in one file system. Opens what it needs
// first, so that a process without a free descriptor changes nothing.
absl::Status RenameDurably(const std::string& from, const std::string& to);

absl::Status SyncFolder(const std::string& folder);

// Removes one file; a missing file is no error.
absl::Status RemoveFile(const std::string& path);

// The part after the last '/', and the part before it ("." if there is none).
std::string BaseName(const std::string& path);
std::string FolderOf(const std::string& path);

// A file opened for sequential writing; unlinked by the destructor unless kept. What is appended
// goes to the disk behind the writer's back, so that Sync finds little left to do. Not thread-safe.
class OutputFile {
 public:
  static absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string& path,
                                                            Readers readers = Readers::kUmask);
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

// Holds a folder for one process: by a lock on the folder itself, which lasts as long as the folder
// is the same, whatever is removed from it; and by one on a file in it, which names the holder and
// is what file systems know that lock no folders. Released by the destructor or by the process's
// end. FAILED_PRECONDITION "folder in use by process N" if another holds it.
class FolderLock {
 public:
  static absl::StatusOr<std::unique_ptr<FolderLock>> Acquire(const std::string& folder);

 private:
  FolderLock(Descriptor folder, Descriptor file)
      : folder_(std::move(folder)), file_(std::move(file)) {}
  const Descriptor folder_;
  const Descriptor file_;
};

}  // namespace distillery

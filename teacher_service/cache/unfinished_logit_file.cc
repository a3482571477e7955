#include "teacher_service/cache/unfinished_logit_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

absl::Status WriteAt(int descriptor, int64_t offset, absl::string_view bytes,
                     const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor, bytes.data(), bytes.size(), offset);
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, absl::StrCat("cannot write ", path));
    }
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += written;
  }
  return absl::OkStatus();
}

// Now, so that a full disk is found before logits are computed for the file.
absl::Status TakeRoom(int descriptor, int64_t bytes, const std::string& path) {
  int result = fallocate(descriptor, 0, 0, bytes);
  if (result != 0 && errno == EOPNOTSUPP) result = ftruncate(descriptor, bytes);
  if (result != 0) return ErrnoStatus(errno, absl::StrCat("cannot make room for ", path));
  return absl::OkStatus();
}

// False if another one holds the lock; where there are no locks, true.
bool LockFile(int descriptor) {
  return flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

}  // namespace

absl::StatusOr<std::unique_ptr<UnfinishedLogitFile>> UnfinishedLogitFile::Create(
    const std::string& path, const LogitFileSpec& spec) {
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(FolderOf(path), Readers::kOwner));
  for (;;) {
    const std::string temporary = TemporaryLogitFilePath(path);
    const int descriptor = open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0) return ErrnoStatus(errno, absl::StrCat("cannot create ", temporary));
    std::unique_ptr<UnfinishedLogitFile> file(
        new UnfinishedLogitFile(path, spec, temporary, descriptor));
    // Until it is locked, somebody who cleans up may take it for one left behind: then once more.
    struct stat info {};
    if (!LockFile(descriptor) || (fstat(descriptor, &info) == 0 && info.st_nlink == 0)) continue;
    DISTILLERY_RETURN_IF_ERROR(TakeRoom(descriptor, spec.file_bytes(), temporary));
    return file;
  }
}

UnfinishedLogitFile::~UnfinishedLogitFile() {
  if (!renamed_) unlink(temporary_.c_str());
  close(descriptor_);
}

absl::Status UnfinishedLogitFile::Write(int64_t first_row, absl::string_view rows) const {
  return WriteAt(descriptor_, kLogitHeaderBytes + first_row * spec_.row_bytes(), rows, temporary_);
}

absl::StatusOr<UnfinishedLogitFile::Completed> UnfinishedLogitFile::Complete(
    absl::Time used) const {
  DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<const LogitChecksums> checksums,
                              ReadLogitChecksums(descriptor_, spec_, temporary_));
  const LogitHeader header = MakeLogitHeader(spec_, checksums->all);
  DISTILLERY_RETURN_IF_ERROR(WriteAt(
      descriptor_, 0, {reinterpret_cast<const char*>(&header), sizeof(header)}, temporary_));
  TouchFile(descriptor_, used);
  struct stat info {};
  if (fstat(descriptor_, &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot read ", temporary_));
  }
  return Completed{FileVersion::Of(info), std::move(checksums)};
}

absl::Status UnfinishedLogitFile::Rename() {
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot rename ", temporary_, " to ", path_));
  }
  renamed_ = true;
  return absl::OkStatus();
}

void UnfinishedLogitFile::RemoveIfLeftBehind(const std::string& path, absl::Time now) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (descriptor < 0) return;
  struct stat info {};
  const bool locked = flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  const bool held = !locked && errno == EWOULDBLOCK;
  if (!held && fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) &&
      (locked || now - absl::TimeFromTimespec(info.st_mtim) > absl::Hours(1))) {
    unlink(path.c_str());
  }
  close(descriptor);
}

}  // namespace distillery

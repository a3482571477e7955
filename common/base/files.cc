#include "common/base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/base/sync_to_disk.h"

namespace distillery {
namespace {

constexpr int64_t kWriteBehindBytes = 8 << 20;
constexpr mode_t kOwnerFile = 0600;
constexpr mode_t kOwnerFolder = 0700;

// Those of the group and of others.
void TakeRights(const std::string& path) {
  constexpr mode_t kOthers = S_IRWXG | S_IRWXO;
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0 || (info.st_mode & kOthers) == 0) return;
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return;
  constexpr mode_t kRights = 07777;
  if (chmod(path.c_str(), info.st_mode & kRights & ~kOthers) == 0) return;
  LogWarning("others may read {}: its rights cannot be changed: {}", path, std::strerror(errno));
}

absl::Status WriteAll(int descriptor, absl::Span<const absl::string_view> pieces,
                      const std::string& path) {
  constexpr size_t kMostPieces = 256;
  size_t done = 0;  // of the first piece
  while (!pieces.empty()) {
    if (done == pieces.front().size()) {
      pieces.remove_prefix(1);
      done = 0;
      continue;
    }
    iovec vectors[kMostPieces];
    const size_t count = std::min(kMostPieces, pieces.size());
    for (size_t i = 0; i < count; ++i) {
      const absl::string_view rest = pieces[i].substr(i == 0 ? done : 0);
      vectors[i] = {const_cast<char*>(rest.data()), rest.size()};  // NOLINT: C interface
    }
    const ssize_t result = writev(descriptor, vectors, static_cast<int>(count));
    if (result < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, absl::StrCat("cannot write ", path));
    }
    done += static_cast<size_t>(result);
    while (!pieces.empty() && done >= pieces.front().size()) {
      done -= pieces.front().size();
      pieces.remove_prefix(1);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Descriptor> OpenFolder(const std::string& folder) {
  Descriptor opened(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.valid()) return ErrnoStatus(errno, absl::StrCat("cannot open folder ", folder));
  return opened;
}

absl::Status Sync(const Descriptor& opened, const std::string& folder) {
  if (SyncToDisk(opened.get()) == 0) return absl::OkStatus();
  return SyncErrnoStatus(errno, absl::StrCat("cannot sync folder ", folder));
}

}  // namespace

bool FileExists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::Status MakeFolders(const std::string& path, Readers readers) {
  std::error_code error;
  const std::filesystem::path folder(path);
  if (readers == Readers::kOwner && !folder.parent_path().empty()) {
    std::filesystem::create_directories(folder.parent_path(), error);
    // Private from the first moment on; that it is there already is seen below.
    if (!error) (void)mkdir(path.c_str(), kOwnerFolder);
  }
  if (!error) std::filesystem::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot make folder ", path));
  if (readers == Readers::kOwner) TakeRights(path + "/.");  // a link is what it leads to
  return absl::OkStatus();
}

void MakePrivate(const std::string& path) {
  TakeRights(path);
  std::error_code ignored;
  if (!std::filesystem::is_directory(std::filesystem::symlink_status(path, ignored))) return;
  // Without exceptions, also where a folder in it is another user's.
  const auto options = std::filesystem::directory_options::skip_permission_denied;
  std::filesystem::recursive_directory_iterator entry(path, options, ignored);
  while (!ignored && entry != std::filesystem::recursive_directory_iterator()) {
    TakeRights(entry->path().string());
    entry.increment(ignored);
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes) {
  struct stat info {};
  DISTILLERY_ASSIGN_OR_RETURN(const Descriptor descriptor, OpenRegularFile(path, &info));
  if (info.st_size > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, " has ", info.st_size, " bytes, the limit is ", max_bytes));
  }
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  const ReadOutcome read = ReadAt(descriptor.get(), 0, info.st_size, bytes.data());
  if (read.error_number != 0) {
    return ErrnoStatus(read.error_number, absl::StrCat("cannot read ", path));
  }
  bytes.resize(static_cast<size_t>(read.bytes));
  return bytes;
}

absl::Status WriteFileDurably(const std::string& path, absl::string_view bytes, Readers readers) {
  const std::string temporary = absl::StrCat(path, ".tmp-", getpid());
  DISTILLERY_ASSIGN_OR_RETURN(std::unique_ptr<OutputFile> file,
                              OutputFile::Create(temporary, readers));
  DISTILLERY_RETURN_IF_ERROR(file->Append(bytes));
  DISTILLERY_RETURN_IF_ERROR(file->Sync());
  DISTILLERY_RETURN_IF_ERROR(file->Keep());
  return RenameDurably(temporary, path);
}

absl::Status RenameDurably(const std::string& from, const std::string& to) {
  const std::string folder = FolderOf(to);
  DISTILLERY_ASSIGN_OR_RETURN(const Descriptor opened, OpenFolder(folder));
  if (rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot rename ", from, " to ", to));
  }
  DISTILLERY_FAILPOINT("files.renamed");
  return Sync(opened, folder);
}

absl::Status SyncFolder(const std::string& folder) {
  DISTILLERY_ASSIGN_OR_RETURN(const Descriptor opened, OpenFolder(folder));
  return Sync(opened, folder);
}

absl::Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("cannot remove ", path));
  }
  return absl::OkStatus();
}

std::string BaseName(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

OutputFile::OutputFile(std::string path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {}

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Create(const std::string& path,
                                                               Readers readers) {
  constexpr mode_t kAll = 0644;  // less the umask
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                              readers == Readers::kOwner ? kOwnerFile : kAll);
  if (descriptor < 0) return ErrnoStatus(errno, absl::StrCat("cannot create ", path));
  return std::unique_ptr<OutputFile>(new OutputFile(path, descriptor));
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(path_.c_str());
}

absl::Status OutputFile::Append(absl::string_view bytes) { return Append({&bytes, 1}); }

absl::Status OutputFile::Append(absl::Span<const absl::string_view> pieces) {
  DISTILLERY_RETURN_IF_ERROR(WriteAll(descriptor_, pieces, path_));
  for (const absl::string_view piece : pieces) size_ += static_cast<int64_t>(piece.size());
  if (size_ - sent_ >= kWriteBehindBytes) {
    // A hint: what goes wrong here shows at Sync.
    (void)sync_file_range(descriptor_, sent_, size_ - sent_, SYNC_FILE_RANGE_WRITE);
    sent_ = size_;
  }
  return absl::OkStatus();
}

absl::Status OutputFile::Sync() {
  if (SyncToDisk(descriptor_) == 0) return absl::OkStatus();
  absl::Status status = NewFileSyncErrnoStatus(errno, absl::StrCat("cannot sync ", path_));
  // What the system could not write it may have dropped, and would not say so again: the file is
  // lost, and whoever goes on with it all the same gets EBADF.
  if (descriptor_ >= 0) {
    close(descriptor_);
    descriptor_ = -1;
    unlink(path_.c_str());
  }
  return status;
}

absl::Status OutputFile::Keep() {
  const int result = close(descriptor_);
  descriptor_ = -1;
  if (result != 0) return ErrnoStatus(errno, absl::StrCat("cannot close ", path_));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FolderLock>> FolderLock::Acquire(const std::string& folder) {
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(folder));
  DISTILLERY_ASSIGN_OR_RETURN(Descriptor opened, OpenFolder(folder));
  // Some file systems lock no folders, and say so.
  const bool others = flock(opened.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  const std::string path = absl::StrCat(folder, "/lock");
  Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kOwnerFile));
  if (!file.valid()) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  if (others || flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = {};
    const ssize_t got = read(file.get(), holder, sizeof(holder) - 1);
    return absl::FailedPreconditionError(absl::StrCat("folder ", folder, " is in use by process ",
                                                      got > 0 ? holder : "(unknown)",
                                                      "; stop it, or choose another folder"));
  }
  // Only tells others who holds it: where the disk is full, it says nothing and holds all the same.
  const std::string process = std::to_string(getpid());
  const auto size = static_cast<ssize_t>(process.size());
  if (pwrite(file.get(), process.data(), process.size(), 0) != size ||
      ftruncate(file.get(), size) != 0) {
    if (ftruncate(file.get(), 0) != 0) {
      return ErrnoStatus(errno, absl::StrCat("cannot write ", path));
    }
  }
  return std::unique_ptr<FolderLock>(new FolderLock(std::move(opened), std::move(file)));
}

}  // namespace distillery

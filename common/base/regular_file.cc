#include "common/base/regular_file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/disk_errors.h"

namespace distillery {
namespace {

// What a file that is not regular is.
const char* KindOf(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "of an unknown kind";
}

absl::Status NotRegular(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, " is ", what, ", not a regular file"));
}

absl::Status CannotOpen(const std::string& path, int error_number) {
  const std::string what = absl::StrCat("cannot open ", path);
  if (error_number == EACCES) {
    return absl::FailedPreconditionError(absl::StrCat(what, ": ", std::strerror(EACCES)));
  }
  if (error_number == ELOOP) return NotRegular(path, "a link to itself");
  return ErrnoStatus(error_number, what);
}

}  // namespace

absl::StatusOr<Descriptor> OpenRegularFile(const std::string& path, struct stat* info) {
  // Looked at before it is opened, since opening some devices moves them; and after, since another
  // file may have taken its place: hence O_NONBLOCK.
  if (stat(path.c_str(), info) != 0) {
    const int error_number = errno;
    if (error_number == ENOENT && lstat(path.c_str(), info) == 0) {
      return NotRegular(path, "a link to a file that is not there");
    }
    return CannotOpen(path, error_number);
  }
  if (!S_ISREG(info->st_mode)) return NotRegular(path, KindOf(info->st_mode));
  Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!descriptor.valid()) return CannotOpen(path, errno);
  if (fstat(descriptor.get(), info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot read ", path));
  }
  if (!S_ISREG(info->st_mode)) return NotRegular(path, KindOf(info->st_mode));
  return descriptor;
}

bool NameIsTaken(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

bool IsFolder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

}  // namespace distillery

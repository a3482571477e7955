#include "common/base/spool_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"

namespace distillery {
namespace {

std::string TemporaryFiles() {
  const char* const set = std::getenv("TMPDIR");
  return set == nullptr || *set == '\0' ? "/tmp" : set;
}

// -1 with errno set if it cannot be made.
Descriptor OpenUnnamed(const std::string& folder) {
  constexpr mode_t kOwnerOnly = 0600;
  Descriptor file(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kOwnerOnly));
  if (file.valid() || (errno != EOPNOTSUPP && errno != EISDIR)) return file;
  // Some file systems cannot: a file that loses its name at once is the same.
  std::string path = folder + "/distillery-XXXXXX";
  file = Descriptor(mkostemp(path.data(), O_CLOEXEC));
  if (file.valid()) unlink(path.c_str());
  return file;
}

}  // namespace

absl::StatusOr<SpoolFile> SpoolFile::Create(int64_t bytes, const std::string& folder) {
  Descriptor descriptor = OpenUnnamed(folder.empty() ? TemporaryFiles() : folder);
  const int error_number = errno;
  SpoolFile file(bytes, std::move(descriptor));
  if (!file.descriptor_.valid()) return file.Failed(error_number);
  // Better told now than when most of the bytes have come. File systems that cannot reserve say so.
  if (bytes > 0 && fallocate(file.descriptor_.get(), 0, 0, bytes) != 0 && errno != EOPNOTSUPP &&
      errno != ENOSYS && errno != EINTR) {
    return file.Failed(errno);
  }
  return file;
}

absl::Status SpoolFile::WriteAt(int64_t offset, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor_.get(), bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed(errno);
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += written;
  }
  return absl::OkStatus();
}

absl::Status SpoolFile::Failed(int error_number) const {
  const std::string what = absl::StrCat("a temporary file of ", bytes_,
                                        " bytes cannot be kept; set TMPDIR to a folder with room");
  // A folder that is not there is no answer to what the caller was asked for.
  if (error_number == ENOENT) return absl::UnavailableError(absl::StrCat(what, ": no such folder"));
  return ErrnoStatus(error_number == EFBIG ? ENOSPC : error_number, what);
}

}  // namespace distillery

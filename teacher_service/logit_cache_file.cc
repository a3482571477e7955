#include "teacher_service/logit_cache_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {

void TouchFile(int descriptor, absl::Time used) {
  const struct timespec times[2] = {absl::ToTimespec(used), {0, UTIME_OMIT}};
  [[maybe_unused]] const int ignored = futimens(descriptor, times);
}

CachedLogits::CachedLogits(const LogitFileSpec& spec, uint32_t crc32c, std::string name,
                           int descriptor)
    : rows_(spec.rows),
      classes_(spec.classes),
      type_(spec.type),
      row_bytes_(spec.row_bytes()),
      crc32c_(crc32c),
      name_(std::move(name)),
      descriptor_(descriptor) {}

CachedLogits::~CachedLogits() { close(descriptor_); }

absl::Status CachedLogits::Read(int64_t first, int64_t count, char* output) const {
  return ReadLogitBytes(descriptor_, kLogitHeaderBytes + first * row_bytes_, output,
                        count * row_bytes_, name_);
}

absl::StatusOr<LogitFile> LogitFile::Open(const std::string& path) {
  // O_NONBLOCK: a pipe under the name must not block us.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  // The access time tells the last use, and TouchFile sets it; another user's file may refuse.
  [[maybe_unused]] const int ignored = fcntl(descriptor, F_SETFL, O_NONBLOCK | O_NOATIME);
  struct stat info {};
  if (fstat(descriptor, &info) != 0) {
    const int error_number = errno;
    close(descriptor);
    return ErrnoStatus(error_number, absl::StrCat("cannot read ", path));
  }
  return LogitFile(path, descriptor, info);
}

LogitFile::LogitFile(LogitFile&& other) noexcept
    : path_(other.path_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      version_(other.version_),
      regular_(other.regular_) {}

LogitFile::~LogitFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<uint32_t> LogitFile::WrittenCrc(const LogitFileSpec& spec) const {
  if (!regular_) return absl::DataLossError(absl::StrCat(path_, " is not a file"));
  DISTILLERY_ASSIGN_OR_RETURN(const LogitHeader header, ReadLogitHeader(descriptor_, spec, path_));
  if (version_.size != spec.file_bytes()) {
    return absl::DataLossError(
        absl::StrCat(path_, " has ", version_.size, " bytes, its header says ", spec.file_bytes()));
  }
  return header.payload_crc32c;
}

absl::Status LogitFile::CheckHeader(const LogitFileSpec& spec) const {
  return WrittenCrc(spec).status();
}

absl::Status LogitFile::Check(const LogitFileSpec& spec) const {
  DISTILLERY_ASSIGN_OR_RETURN(const uint32_t written, WrittenCrc(spec));
  DISTILLERY_ASSIGN_OR_RETURN(const uint32_t read, ReadPayloadCrc(descriptor_, spec, path_));
  if (read != written) return absl::DataLossError(absl::StrCat(path_, " has damaged logits"));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const CachedLogits>> LogitFile::Logits(
    const LogitFileSpec& spec) const {
  DISTILLERY_ASSIGN_OR_RETURN(const uint32_t crc, WrittenCrc(spec));
  const int descriptor = fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
  if (descriptor < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path_));
  return std::shared_ptr<const CachedLogits>(
      new CachedLogits(spec, crc, BaseName(path_), descriptor));
}

}  // namespace distillery

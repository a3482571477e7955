#include "teacher_service/cache/logit_cache_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
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

CachedLogits::CachedLogits(const LogitFileSpec& spec,
                           std::shared_ptr<const LogitChecksums> checksums, std::string name,
                           int descriptor)
    : rows_(spec.rows),
      classes_(spec.classes),
      type_(spec.type),
      row_bytes_(spec.row_bytes()),
      block_rows_(spec.block_rows()),
      join_whole_block_(spec.block_rows() * spec.row_bytes()),
      checksums_(std::move(checksums)),
      name_(std::move(name)),
      descriptor_(descriptor) {}

CachedLogits::~CachedLogits() { close(descriptor_); }

absl::Status CachedLogits::Read(int64_t first, int64_t count, char* output,
                                uint32_t* crc32c) const {
  uint32_t all = 0;
  for (int64_t row = first; row < first + count;) {
    const int64_t block = row / block_rows_;
    const int64_t begin = block * block_rows_;
    const int64_t end = std::min(begin + block_rows_, rows_);
    const int64_t last = std::min(end, first + count);
    const absl::string_view bytes(output, static_cast<size_t>((last - row) * row_bytes_));
    DISTILLERY_RETURN_IF_ERROR(ReadLogitBytes(descriptor_, kLogitHeaderBytes + row * row_bytes_,
                                              output, (last - row) * row_bytes_, name_));
    const uint32_t wanted = Crc32c(bytes);
    uint32_t whole = wanted;
    if (row > begin || last < end) {
      whole = 0;
      DISTILLERY_RETURN_IF_ERROR(Skip(begin, row, &whole));
      whole = Crc32c(bytes, whole);
      DISTILLERY_RETURN_IF_ERROR(Skip(last, end, &whole));
    }
    if (whole != checksums_->blocks[static_cast<size_t>(block)]) {
      return absl::DataLossError(
          absl::StrCat(name_, " has damaged logits in rows ", begin, " to ", end - 1));
    }
    all = last - row == block_rows_ ? join_whole_block_(all, wanted)
                                    : Crc32cJoin(static_cast<int64_t>(bytes.size()))(all, wanted);
    output += bytes.size();
    row = last;
  }
  if (crc32c != nullptr) *crc32c = all;
  return absl::OkStatus();
}

absl::Status CachedLogits::Skip(int64_t first, int64_t last, uint32_t* crc) const {
  constexpr int64_t kPiece = int64_t{64} << 10;
  const int64_t end = last * row_bytes_;
  if (first == last) return absl::OkStatus();
  const auto buffer = std::make_unique<char[]>(kPiece);
  for (int64_t at = first * row_bytes_; at < end;) {
    const int64_t size = std::min(kPiece, end - at);
    DISTILLERY_RETURN_IF_ERROR(
        ReadLogitBytes(descriptor_, kLogitHeaderBytes + at, buffer.get(), size, name_));
    *crc = Crc32c({buffer.get(), static_cast<size_t>(size)}, *crc);
    at += size;
  }
  return absl::OkStatus();
}

FileVersion CachedLogits::version() const {
  struct stat info {};
  return fstat(descriptor_, &info) == 0 ? FileVersion::Of(info) : FileVersion();
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

absl::StatusOr<std::shared_ptr<const LogitChecksums>> LogitFile::Check(
    const LogitFileSpec& spec) const {
  DISTILLERY_ASSIGN_OR_RETURN(const uint32_t written, WrittenCrc(spec));
  DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<const LogitChecksums> read,
                              ReadLogitChecksums(descriptor_, spec, path_));
  if (read->all != written) return absl::DataLossError(absl::StrCat(path_, " has damaged logits"));
  return read;
}

absl::StatusOr<std::shared_ptr<const CachedLogits>> LogitFile::Logits(
    const LogitFileSpec& spec, std::shared_ptr<const LogitChecksums> checksums) const {
  const int descriptor = fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
  if (descriptor < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path_));
  return std::shared_ptr<const CachedLogits>(
      new CachedLogits(spec, std::move(checksums), BaseName(path_), descriptor));
}

}  // namespace distillery

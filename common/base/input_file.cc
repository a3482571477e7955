#include "common/base/input_file.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"

namespace distillery {

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  struct stat info {};
  DISTILLERY_ASSIGN_OR_RETURN(Descriptor descriptor, OpenRegularFile(path, &info));
  constexpr int64_t kNanoseconds = 1'000'000'000;
  InputFile file(BaseName(path), std::move(descriptor));
  file.stamp_.bytes = info.st_size;
  file.stamp_.modified_ns = info.st_mtim.tv_sec * kNanoseconds + info.st_mtim.tv_nsec;
  return file;
}

absl::Status InputFile::ReadAt(int64_t offset, int64_t bytes, void* output) const {
  const ReadOutcome read = ::distillery::ReadAt(descriptor_.get(), offset, bytes, output);
  if (read.bytes == bytes) return absl::OkStatus();
  const int64_t reached = offset + read.bytes;
  if (read.error_number == 0) {
    return absl::DataLossError(absl::StrCat(name(), " is cut short: it ends before byte ",
                                            offset + bytes, ", at ", reached));
  }
  if (read.error_number == EIO) {
    return absl::DataLossError(
        absl::StrCat(name(), " cannot be read at byte ", reached, ": ", std::strerror(EIO)));
  }
  return ErrnoStatus(read.error_number, absl::StrCat("cannot read ", name(), " at byte ", reached));
}

}  // namespace distillery

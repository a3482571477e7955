#include "common/base/disk_errors.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

constexpr char kDiskFull[] = "distillery/disk-full";
constexpr char kNoDescriptors[] = "distillery/no-descriptors";
constexpr char kSyncFailure[] = "distillery/sync-failure";

}  // namespace

absl::Status MarkDiskFull(absl::Status status) {
  status.SetPayload(kDiskFull, absl::Cord());
  return status;
}

bool IsDiskFull(const absl::Status& status) { return status.GetPayload(kDiskFull).has_value(); }

absl::Status MarkNoDescriptors(absl::Status status) {
  status.SetPayload(kNoDescriptors, absl::Cord());
  return status;
}

bool IsOutOfDescriptors(const absl::Status& status) {
  return status.GetPayload(kNoDescriptors).has_value();
}

absl::Status MarkSyncFailure(absl::Status status) {
  status.SetPayload(kSyncFailure, absl::Cord());
  return status;
}

bool IsSyncFailure(const absl::Status& status) {
  return status.GetPayload(kSyncFailure).has_value();
}

absl::Status ErrnoStatus(int error_number, absl::string_view what) {
  const std::string text = absl::StrCat(what, ": ", std::strerror(error_number));
  if (error_number == ENOENT) return absl::NotFoundError(text);
  if (error_number == ENOSPC || error_number == EDQUOT) {
    return MarkDiskFull(absl::ResourceExhaustedError(text));
  }
  if (error_number == EMFILE || error_number == ENFILE) {
    return MarkNoDescriptors(absl::UnavailableError(text));
  }
  return absl::UnavailableError(text);
}

absl::Status SyncErrnoStatus(int error_number, absl::string_view what) {
  return MarkSyncFailure(
      absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(error_number))));
}

absl::Status NewFileSyncErrnoStatus(int error_number, absl::string_view what) {
  const absl::Status status = ErrnoStatus(error_number, what);
  return IsDiskFull(status) ? status : SyncErrnoStatus(error_number, what);
}

absl::StatusOr<int64_t> FreeBytes(const std::string& folder) {
  struct statvfs info {};
  if (statvfs(folder.c_str(), &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot ask for the free space of ", folder));
  }
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

}  // namespace distillery

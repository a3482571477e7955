// What the system says when it cannot open a file or keep what is written: marks that a status
// carries from where errno is known to where the process decides what to do.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

// There is no room (ENOSPC, EDQUOT): it can be tried again later.
absl::Status MarkDiskFull(absl::Status status);
bool IsDiskFull(const absl::Status& status);

// No descriptor is free (EMFILE, ENFILE), so nothing was opened and nothing is lost: it can be
// tried again later.
absl::Status MarkNoDescriptors(absl::Status status);
bool IsOutOfDescriptors(const absl::Status& status);

// fsync failed: the system may have dropped what it could not write and says so once, so what the
// process believes to be on disk may not be there, and trying again proves nothing. So it is for
// whatever reason, a full disk included.
absl::Status MarkSyncFailure(absl::Status status);
bool IsSyncFailure(const absl::Status& status);

// The status for `errno` after `what` failed: NOT_FOUND for ENOENT, RESOURCE_EXHAUSTED for ENOSPC
// and EDQUOT, else UNAVAILABLE; with the marks above.
absl::Status ErrnoStatus(int error_number, absl::string_view what);

// The status for fsync that failed with `error_number` after `what`, on a file or folder that goes
// on to be used: UNAVAILABLE, and marked.
absl::Status SyncErrnoStatus(int error_number, absl::string_view what);
// The same for a file that nobody knows yet and that is dropped now: where the disk is full it can
// be written anew once there is room, so that is the mark.
absl::Status NewFileSyncErrnoStatus(int error_number, absl::string_view what);

// Bytes that an ordinary user can still write in the folder's file system.
absl::StatusOr<int64_t> FreeBytes(const std::string& folder);

}  // namespace distillery

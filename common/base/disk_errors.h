// What the system says when it cannot open a file or keep what is written: marks that a status
// carries from where errno is known to where the process decides what to do.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace distillery {

// There is no room (ENOSPC, EDQUOT): it can be tried again later.
absl::Status MarkDiskFull(absl::Status status);
bool IsDiskFull(const absl::Status& status);

// No descriptor is free (EMFILE, ENFILE), so nothing was opened and nothing is lost: it can be
// tried again later.
absl::Status MarkNoDescriptors(absl::Status status);
bool IsOutOfDescriptors(const absl::Status& status);

// fsync failed: the system may have dropped what it could not write and says so once, so what the
// process believes to be on disk may not be there, and trying again proves nothing.
absl::Status MarkSyncFailure(absl::Status status);
bool IsSyncFailure(const absl::Status& status);

// The status for fsync that failed with `error_number` after `what`: as ErrnoStatus, and marked
// unless it is one that can be waited for.
absl::Status SyncErrnoStatus(int error_number, absl::string_view what);

// Bytes that an ordinary user can still write in the folder's file system.
absl::StatusOr<int64_t> FreeBytes(const std::string& folder);

}  // namespace distillery

// The one place where written bytes and new names are brought to the disk.
#pragma once

namespace distillery {

// kData leaves out what only describes the file, such as its times.
enum class SyncedPart { kAll, kData };

// Returns as fsync does, or fdatasync: 0 once the file or folder is on the disk, else -1 with errno
// set, see SyncErrnoStatus.
int SyncToDisk(int descriptor, SyncedPart part = SyncedPart::kAll);

}  // namespace distillery

#include "common/base/sync_to_disk.h"

#include <unistd.h>

#include "common/base/failpoint.h"

namespace distillery {

int SyncToDisk(int descriptor, SyncedPart part) {
  DISTILLERY_FAILPOINT("files.syncing");
  return part == SyncedPart::kData ? fdatasync(descriptor) : fsync(descriptor);
}

}  // namespace distillery

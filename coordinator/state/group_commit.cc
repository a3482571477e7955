#include "coordinator/state/group_commit.h"

#include <algorithm>

namespace distillery {

void GroupCommit::WaitUntilDurable(int64_t position) {
  while (true) {
    int64_t reached = 0;
    {
      MutexLock lock(mutex_);
      while (syncing_ && durable_ < position) synced_.Wait(mutex_);
      if (durable_ >= position) return;
      syncing_ = true;
      // Those that were committed while the last sync was under way come along.
      reached = committed_;
    }
    const absl::Status status = sync_();
    if (!status.ok()) on_failure_(status);
    MutexLock lock(mutex_);
    syncing_ = false;
    durable_ = std::max(durable_, reached);
    synced_.NotifyAll();
  }
}

}  // namespace distillery

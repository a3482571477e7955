#include "coordinator/disk_watch.h"

#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/disk_errors.h"
#include "common/base/logging.h"
#include "common/base/spool_file.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr absl::Duration kBetweenProbes = absl::Seconds(2);
// The record needs some pages for each step, so a few bytes of room are none.
constexpr int64_t kProbeBytes = 1 << 20;

[[noreturn]] void EndProcess(const absl::Status& status) {
  const std::string text =
      absl::StrCat(status.message(),
                   "; what was written last may not be on disk, so the coordinator stops. "
                   "Check the disk, then start it again: it goes on from what is recorded");
  spdlog::critical("{}", text);
  _exit(1);
}

}  // namespace

absl::Status DiskWatch::Note(const absl::Status& status) {
  if (status.ok()) return status;
  if (IsSyncFailure(status)) {
    if (on_failure_ == nullptr) EndProcess(status);
    on_failure_(status);
  }
  if (!IsDiskFull(status)) return status;
  {
    MutexLock lock(mutex_);
    if (full_) return status;
    full_ = true;
    next_probe_ = clock_->SteadyNow() + kBetweenProbes;
  }
  statistics_->Add(Count::kDiskFullPauses);
  statistics_->Note(
      {"disk_full", "", {}, "", "no run goes on until there is room in the state folder's disk"});
  return status;
}

bool DiskWatch::full() const {
  MutexLock lock(mutex_);
  return full_;
}

void DiskWatch::Probe() {
  {
    MutexLock lock(mutex_);
    if (!full_ || clock_->SteadyNow() < next_probe_) return;
    next_probe_ = clock_->SteadyNow() + kBetweenProbes;
  }
  if (!TryWrite().ok()) return;
  {
    MutexLock lock(mutex_);
    full_ = false;
  }
  statistics_->Note({"disk_has_room", "", {}, "", "runs go on"});
}

absl::Status DiskWatch::TryWrite() const {
  DISTILLERY_ASSIGN_OR_RETURN(SpoolFile file, SpoolFile::Create(kProbeBytes, folder_));
  const std::string block(kProbeBytes, '\0');
  DISTILLERY_RETURN_IF_ERROR(file.WriteAt(0, block));
  return absl::OkStatus();
}

}  // namespace distillery

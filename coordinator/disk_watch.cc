#include "coordinator/disk_watch.h"

#include <unistd.h>

#include <string>
#include <utility>

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
  LogCritical("{}", text);
  _exit(1);
}

}  // namespace

absl::Status DiskWatch::Note(const absl::Status& status) {
  if (status.ok()) return status;
  if (IsSyncFailure(status)) {
    if (on_failure_ == nullptr) EndProcess(status);
    on_failure_(status);
  }
  const bool full = IsDiskFull(status);
  if (!full && !IsOutOfDescriptors(status)) return status;
  {
    MutexLock lock(mutex_);
    // A full disk is the worse of the two.
    if (lack_ == Lack::kRoom || (!full && lack_ == Lack::kDescriptors)) return status;
    lack_ = full ? Lack::kRoom : Lack::kDescriptors;
    next_probe_ = clock_->SteadyNow() + kBetweenProbes;
  }
  if (full) {
    statistics_->Add(Count::kDiskFullPauses);
    statistics_->Note(
        {"disk_full", "", {}, "", "no run goes on until there is room in the state folder's disk"});
  } else {
    statistics_->Note({"descriptors_used_up",
                       "",
                       {},
                       "",
                       "no round is averaged until a file descriptor is free; see `ulimit -n`"});
  }
  return status;
}

DiskWatch::Lack DiskWatch::lack() const {
  MutexLock lock(mutex_);
  return lack_;
}

int64_t DiskWatch::recoveries() const {
  MutexLock lock(mutex_);
  return recoveries_;
}

void DiskWatch::Probe() {
  {
    MutexLock lock(mutex_);
    if (lack_ == Lack::kNothing || clock_->SteadyNow() < next_probe_) return;
    next_probe_ = clock_->SteadyNow() + kBetweenProbes;
  }
  const absl::Status status = TryWrite();
  if (!status.ok()) {
    (void)Note(status);
    return;
  }
  Lack ended = Lack::kNothing;
  {
    MutexLock lock(mutex_);
    std::swap(ended, lack_);
    ++recoveries_;
  }
  statistics_->Note(ended == Lack::kRoom
                        ? Statistics::Event{"disk_has_room", "", {}, "", "runs go on"}
                        : Statistics::Event{"descriptors_free", "", {}, "", "runs go on"});
}

absl::Status DiskWatch::TryWrite() const {
  DISTILLERY_ASSIGN_OR_RETURN(SpoolFile file, SpoolFile::Create(kProbeBytes, folder_));
  const std::string block(kProbeBytes, '\0');
  DISTILLERY_RETURN_IF_ERROR(file.WriteAt(0, block));
  return absl::OkStatus();
}

}  // namespace distillery

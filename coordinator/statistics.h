// What the coordinator has counted since it started, and its last notable events. Domain code
// counts here and knows nothing of who shows the numbers; coordinator_metrics_service.h gives them
// to Prometheus.
//
//   statistics.Add(Count::kStrikes);
//   statistics.Add(Count::kLeasesEnded, "expired");
//   statistics.Note({"lease_lost", run_id, lease.task, worker_id, "no heartbeat for 30 s"});
//
// Threads: safe for all; nothing blocks but for a log line in Note.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/run/task.h"

namespace distillery {

enum class Count {
  kRunsSubmitted,
  // Label: the task's kind.
  kLeasesGranted,
  // Those of a task that another worker holds, and takes long for.
  kBackupLeases,
  // Label: the outcome, see LeaseRow.
  kLeasesEnded,
  kUploadsAccepted,
  // The bytes of accepted uploads, as they came over the network.
  kUploadedBytes,
  kUploadsDuplicate,
  // Label: the status code, see StatusLabel.
  kUploadsRejected,
  kDownloadedBytes,
  kRoundsAveraged,
  // Label: "non_finite", "norm", "layout", "checksum", "malformed" or "figures".
  kRejectedDeltas,
  kStrikes,
  // A worker that had too many.
  kWorkersSetAside,
  // Files that were not as the record says. Label: "delta" or "weights".
  kDigestFailures,
  // What was made anew after that. Label: "delta" or "weights".
  kDigestRepairs,
  // Two results of one task that differ.
  kNondeterminismAlarms,
  kDiskFullPauses,
  // LeaseTask calls refused, since too many of the same worker waited.
  kRefusedWaits,
};

class Statistics {
 public:
  struct Event {
    // "run_paused", "lease_lost", "delta_rejected" ...
    std::string kind;
    std::string run_id;
    std::optional<TaskId> task;
    std::string worker_id;
    std::string text;
    // Filled in by Note.
    int64_t unix_millis = 0;
  };
  struct Durations {
    int64_t count = 0;
    double seconds = 0;
    // Cumulative, by kBounds.
    std::vector<int64_t> at_most;
  };
  // Seconds.
  static const std::vector<double>& Bounds();

  explicit Statistics(Clock* clock) : clock_(clock) {}

  void Add(Count what, int64_t n = 1) { Add(what, "", n); }
  void Add(Count what, const std::string& label, int64_t n = 1);
  int64_t Of(Count what, const std::string& label = "") const;
  std::map<std::pair<Count, std::string>, int64_t> counts() const;

  // A round was averaged in so much time.
  void NoteAveraging(absl::Duration time);
  Durations averaging() const;

  // Keeps the last few hundred, and writes a log line.
  void Note(Event event);
  // Oldest first.
  std::vector<Event> events() const;

 private:
  static constexpr size_t kKeptEvents = 500;

  Clock* const clock_;
  mutable Mutex mutex_;
  std::map<std::pair<Count, std::string>, int64_t> counts_ ABSL_GUARDED_BY(mutex_);
  Durations averaging_ ABSL_GUARDED_BY(mutex_);
  std::deque<Event> events_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery

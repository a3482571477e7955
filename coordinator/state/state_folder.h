// Where the coordinator's files are, under its state folder:
//
//   record.sqlite3                          runs, tasks, leases ... (record.h)
//   weights/RUN/00000007.safetensors        W_7;  00000007.momentum.safetensors and
//                                           .variance.safetensors: the outer optimizer's state
//   weights/RUN/00000007.SHA.float16.safetensors   W_7 as it is sent, if the run says so
//   spool/RUN/00000007-0002-41.safetensors  round 7, replica 2, fencing token 41: a taken delta
//   uploads/SHA256.safetensors              weights that runs are to start from
//   incoming/                               uploads under way; emptied at start
//   lock                                    held by the running coordinator, as the folder itself
//   is
//
// Threads: safe for all once the log is open.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/descriptor.h"
#include "common/base/files.h"
#include "common/run/task.h"

namespace distillery {

class StateFolder {
 public:
  // Makes and locks the folder, empties incoming/. What is in it is its owner's alone, also what an
  // older version made. FAILED_PRECONDITION if another process has it.
  static absl::StatusOr<std::unique_ptr<StateFolder>> Open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string RecordPath() const { return path_ + "/record.sqlite3"; }
  // Opens SQLite's write-ahead log, which is there from the record's opening to its closing, for
  // SyncRecordLog, and makes its name durable. Call once, before the first SyncRecordLog.
  absl::Status OpenRecordLog();
  // Brings the log to the disk. It stays open in between: to open a file may fail for reasons that
  // have nothing to do with the disk.
  absl::Status SyncRecordLog() const;
  std::string Weights(const std::string& run_id, int64_t round) const;
  // Named by the SHA-256 as well: a guard that goes back, or W_0 that is made again, gives a round
  // other weights.
  std::string Float16Weights(const std::string& run_id, int64_t round,
                             const std::string& sha256) const;
  std::string Momentum(const std::string& run_id, int64_t round) const;
  std::string Variance(const std::string& run_id, int64_t round) const;
  // Relative to path(), as it stands in the record.
  std::string SpoolName(const Lease& lease) const;
  std::string Absolute(const std::string& relative) const { return path_ + "/" + relative; }
  std::string UploadedWeights(const std::string& sha256) const;
  // Removes uploaded weights but those named in `wanted`, oldest first, until `keep` others are
  // left. UNAVAILABLE if they cannot be listed.
  absl::Status RemoveUploadedWeightsExcept(const std::set<std::string>& wanted, size_t keep) const;
  // A new file for an upload under way.
  std::string Incoming() const;
  absl::Status MakeRunFolders(const std::string& run_id) const;

  struct RunFiles {
    // With the round that each belongs to.
    std::vector<std::pair<std::string, int64_t>> weights;
    std::vector<std::string> spooled;
  };
  // What there is of the run; nothing of one that is not known. UNAVAILABLE if it cannot be listed,
  // marked by disk_errors.h for want of a descriptor.
  absl::StatusOr<RunFiles> FilesOf(const std::string& run_id) const;

  // Removes all files of a run.
  absl::Status RemoveRun(const std::string& run_id) const;
  // Removes the folders without a file of runs that are not `known`. Returns the ids of those that
  // hold files: they may be of a run of which an older copy of the record, put back by a person,
  // knows nothing.
  absl::StatusOr<std::set<std::string>> RemoveEmptyRunsExcept(
      const std::function<bool(const std::string& run_id)>& known) const;

 private:
  StateFolder(std::string path, std::unique_ptr<FolderLock> lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  const std::string path_;
  const std::unique_ptr<FolderLock> lock_;
  Descriptor log_;
};

}  // namespace distillery

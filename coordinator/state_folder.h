// Where the coordinator's files are, under its state folder:
//
//   record.sqlite3                          runs, tasks, leases ... (record.h)
//   weights/RUN/00000007.safetensors        W_7;  00000007.momentum.safetensors and
//                                           .variance.safetensors: the outer optimizer's state
//   weights/RUN/00000007.SHA.float16.safetensors   W_7 as it is sent, if the run says so
//   spool/RUN/00000007-0002-41.safetensors  round 7, replica 2, fencing token 41: a taken delta
//   uploads/SHA256.safetensors              weights that runs are to start from
//   incoming/                               uploads under way; emptied at start
//   lock                                    held by the running coordinator
//
// Threads: immutable, safe for all.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/files.h"
#include "common/run/task.h"

namespace distillery {

class StateFolder {
 public:
  // Makes and locks the folder, empties incoming/. FAILED_PRECONDITION if another process has it.
  static absl::StatusOr<std::unique_ptr<StateFolder>> Open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string RecordPath() const { return path_ + "/record.sqlite3"; }
  // Brings SQLite's write-ahead log to the disk.
  absl::Status SyncRecord() const;
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
  // Removes uploaded weights but those named in `wanted`, oldest first, until `keep` others are left.
  void RemoveUploadedWeightsExcept(const std::set<std::string>& wanted, size_t keep) const;
  // A new file for an upload under way.
  std::string Incoming() const;
  absl::Status MakeRunFolders(const std::string& run_id) const;

  // What may be removed once the record that no longer needs it is on disk:
  // the run's weights of rounds below `first` but those in `keep`;
  std::vector<std::string> WeightsBefore(const std::string& run_id, int64_t first,
                                         const std::set<int64_t>& keep) const;
  // spooled files of the run but those named in `keep` (relative names);
  std::vector<std::string> SpoolExcept(const std::string& run_id,
                                       const std::set<std::string>& keep) const;
  // the folders of the run.
  std::vector<std::string> RunFolders(const std::string& run_id) const;

 private:
  StateFolder(std::string path, std::unique_ptr<FolderLock> lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  const std::string path_;
  const std::unique_ptr<FolderLock> lock_;
};

}  // namespace distillery

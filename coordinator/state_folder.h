// Where the coordinator's files are, under its state folder:
//
//   record.sqlite3                          runs, tasks, leases ... (record.h)
//   weights/RUN/00000007.safetensors        W_7;  00000007.momentum.safetensors: outer momentum
//   spool/RUN/00000007-0002-41.safetensors  round 7, replica 2, fencing token 41: a taken delta
//   incoming/                               uploads under way; emptied at start
//   lock                                    held by the running coordinator
//
// Threads: immutable, safe for all.
#pragma once

#include <memory>
#include <set>
#include <string>

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
  std::string Weights(const std::string& run_id, int64_t round) const;
  std::string Momentum(const std::string& run_id, int64_t round) const;
  // Relative to path(), as it stands in the record.
  std::string SpoolName(const Lease& lease) const;
  std::string Absolute(const std::string& relative) const { return path_ + "/" + relative; }
  // A new file for an upload under way.
  std::string Incoming() const;
  absl::Status MakeRunFolders(const std::string& run_id) const;

  // Removes the run's weights of rounds below `first` but those in `keep`.
  void RemoveWeightsBefore(const std::string& run_id, int64_t first,
                           const std::set<int64_t>& keep) const;
  // Removes spooled files of the run but those named in `keep` (relative names).
  void RemoveSpoolExcept(const std::string& run_id, const std::set<std::string>& keep) const;

 private:
  StateFolder(std::string path, std::unique_ptr<FolderLock> lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  const std::string path_;
  const std::unique_ptr<FolderLock> lock_;
};

}  // namespace distillery

// The workers that have registered: found by their id and by the request that registered them, in
// order of their silence. No step looks at all of them.
//
// Threads: one at a time; Coordinator guards it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/lease_pace.h"
#include "coordinator/state/record.h"

namespace distillery {

struct WorkerEntry {
  WorkerRow row;
  absl::Duration last_seen;
  int64_t done_tasks = 0;
  int64_t lost_leases = 0;
  LeasePace pace = {};
};

class WorkerBook {
 public:
  // How many are remembered.
  static constexpr size_t kMost = 8192;

  // Null if it is not known.
  WorkerEntry* Find(const std::string& worker_id);
  const WorkerEntry* Find(const std::string& worker_id) const;
  // The workers that this request registered: one, or two if the second had a certificate.
  std::vector<const WorkerEntry*> OfRequest(const std::string& request_id) const;
  // REQUIRES: its id is new.
  void Add(WorkerRow row, absl::Duration last_seen);
  // It was heard of.
  void Touch(WorkerEntry* worker, absl::Duration now);
  void Remove(const std::string& worker_id);
  size_t size() const { return workers_.size(); }
  // That which has been silent for longest, of several the one that registered first. REQUIRES:
  // there is one.
  const WorkerEntry& MostSilent() const;
  // Those that were heard of at `since` or later.
  std::vector<const WorkerEntry*> HeardSince(absl::Duration since) const;
  int64_t CountHeardSince(absl::Duration since) const;

 private:
  // Last heard of, registered, id.
  using Place = std::tuple<absl::Duration, int64_t, std::string>;
  static Place PlaceOf(const WorkerEntry& worker) {
    return {worker.last_seen, worker.row.registered_unix_seconds, worker.row.worker_id};
  }
  std::map<std::string, WorkerEntry> workers_;
  // Worker ids by request id.
  std::multimap<std::string, std::string> by_request_;
  std::set<Place> by_silence_;
};

}  // namespace distillery

// The leases that are active now: who holds which task until when.
//
// Threads: one at a time; Coordinator guards it. Deadlines are on the coordinator's steady clock;
// after a restart each recorded lease starts anew with its full duration.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/record.h"

namespace distillery {

class LeaseBook {
 public:
  explicit LeaseBook(absl::Duration duration) : duration_(duration) {}

  absl::Duration duration() const { return duration_; }
  // A fencing token above all that were ever given.
  int64_t NextToken() { return ++last_token_; }
  // Tokens up to `token` were given before a restart.
  void SkipTokens(int64_t token) { last_token_ = std::max(last_token_, token); }

  void Add(const LeaseRow& row, absl::Duration now);
  // Null if the lease is not active.
  const LeaseRow* Find(int64_t token) const;
  const LeaseRow* FindByWorker(const std::string& worker_id) const;
  void Renew(int64_t token, absl::Duration now);
  void Remove(int64_t token) { active_.erase(token); }
  int64_t CountOfRun(const std::string& run_id) const;
  std::vector<LeaseRow> OfRun(const std::string& run_id) const;
  // Leases whose deadline is `now` or before, oldest token first.
  std::vector<LeaseRow> Expired(absl::Duration now) const;
  // The nearest deadline; infinite without leases.
  absl::Duration NextDeadline() const;

 private:
  struct Active {
    LeaseRow row;
    absl::Duration deadline;
  };
  const absl::Duration duration_;
  int64_t last_token_ = 0;
  std::map<int64_t, Active> active_;
};

}  // namespace distillery

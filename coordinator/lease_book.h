// The leases that are active now: who holds which task until when.
//
// Threads: one at a time; Ledger guards it. Deadlines are on the coordinator's steady clock;
// after a restart each recorded lease starts anew with its full duration.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/state/record.h"

namespace distillery {

class LeaseBook {
 public:
  explicit LeaseBook(absl::Duration duration) : duration_(duration) {}

  absl::Duration duration() const { return duration_; }
  // A fencing token above all that were ever given.
  int64_t NextToken() { return ++last_token_; }
  // Tokens up to `token` were given before a restart.
  void SkipTokens(int64_t token) { last_token_ = std::max(last_token_, token); }

  // `recovered`: the lease was given before a restart of the coordinator.
  void Add(const LeaseRow& row, absl::Duration now, bool recovered = false);
  // Null if the lease is not active.
  const LeaseRow* Find(int64_t token) const;
  const LeaseRow* FindByWorker(const std::string& worker_id) const;
  // The holder lives. Its task has got on if `sample_count` grew, or if it says that it waits for
  // something, which is no fault of its own.
  void Renew(int64_t token, int64_t sample_count, bool waiting, absl::Duration now);
  // The result is on its way: no samples are to be expected any more.
  void NoteUpload(int64_t token);
  void Remove(int64_t token);
  int64_t CountOfRun(const std::string& run_id) const;
  std::vector<LeaseRow> OfRun(const std::string& run_id) const;
  // As it was last told. REQUIRES: the lease is active.
  int64_t SampleCount(int64_t token) const { return active_.at(token).sample_count; }
  // Whether the lease was given before a restart: its worker may have been lost with the
  // coordinator. REQUIRES: the lease is active.
  bool Recovered(int64_t token) const { return active_.at(token).recovered; }
  // How long ago the lease was given. REQUIRES: it is active.
  absl::Duration Age(int64_t token, absl::Duration now) const;
  // Sum over the run's leases of their ages, each counted as `least` at least.
  absl::Duration AgesOfRun(const std::string& run_id, absl::Duration least,
                           absl::Duration now) const;
  // The age of the run's oldest lease; minus infinity if it has none.
  absl::Duration OldestOfRun(const std::string& run_id, absl::Duration now) const;
  // Leases whose deadline is `now` or before, oldest token first. Not const, nor is Stalled: what
  // they find saves them the look at every lease until the next can be due.
  std::vector<LeaseRow> Expired(absl::Duration now);
  // Training leases that are renewed but have not got on for `limit`, oldest token first.
  std::vector<LeaseRow> Stalled(absl::Duration limit, absl::Duration now);
  // No lease ends before; it may be earlier than the nearest deadline, since renewals do not move
  // it until Expired has looked, nor do leases that end. Infinite before the first.
  absl::Duration NextDeadline() const { return earliest_deadline_; }

 private:
  struct Active {
    LeaseRow row;
    absl::Duration granted;
    absl::Duration deadline;
    absl::Duration got_on;
    int64_t sample_count = 0;
    bool uploading = false;
    bool recovered = false;
  };
  const absl::Duration duration_;
  int64_t last_token_ = 0;
  std::map<int64_t, Active> active_;
  // At or before those of every active lease.
  absl::Duration earliest_deadline_ = absl::InfiniteDuration();
  absl::Duration earliest_progress_ = absl::InfiniteDuration();
  // Tokens of the active leases.
  std::map<std::string, int64_t> by_worker_;
  std::map<std::string, std::set<int64_t>> by_run_;
};

}  // namespace distillery

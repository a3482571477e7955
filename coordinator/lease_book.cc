#include "coordinator/lease_book.h"

#include <algorithm>

namespace distillery {

void LeaseBook::Add(const LeaseRow& row, absl::Duration now) {
  active_[row.lease.fencing_token] = {row, now + duration_};
  SkipTokens(row.lease.fencing_token);
}

const LeaseRow* LeaseBook::Find(int64_t token) const {
  const auto found = active_.find(token);
  return found == active_.end() ? nullptr : &found->second.row;
}

const LeaseRow* LeaseBook::FindByWorker(const std::string& worker_id) const {
  for (const auto& [token, active] : active_) {
    if (active.row.lease.worker_id == worker_id) return &active.row;
  }
  return nullptr;
}

void LeaseBook::Renew(int64_t token, absl::Duration now) {
  active_.at(token).deadline = now + duration_;
}

int64_t LeaseBook::CountOfRun(const std::string& run_id) const {
  return static_cast<int64_t>(OfRun(run_id).size());
}

std::vector<LeaseRow> LeaseBook::OfRun(const std::string& run_id) const {
  std::vector<LeaseRow> rows;
  for (const auto& [token, active] : active_) {
    if (active.row.lease.task.run_id == run_id) rows.push_back(active.row);
  }
  return rows;
}

std::vector<LeaseRow> LeaseBook::Expired(absl::Duration now) const {
  std::vector<LeaseRow> rows;
  for (const auto& [token, active] : active_) {
    if (active.deadline <= now) rows.push_back(active.row);
  }
  return rows;
}

absl::Duration LeaseBook::NextDeadline() const {
  absl::Duration next = absl::InfiniteDuration();
  for (const auto& [token, active] : active_) next = std::min(next, active.deadline);
  return next;
}

}  // namespace distillery

#include "coordinator/lease_book.h"

#include <algorithm>

namespace distillery {

void LeaseBook::Add(const LeaseRow& row, absl::Duration now, bool recovered) {
  const int64_t token = row.lease.fencing_token;
  active_[token] = {row, now, now + duration_, now};
  active_[token].recovered = recovered;
  earliest_deadline_ = std::min(earliest_deadline_, now + duration_);
  earliest_progress_ = std::min(earliest_progress_, now);
  by_worker_[row.lease.worker_id] = token;
  by_run_[row.lease.task.run_id].insert(token);
  SkipTokens(token);
}

const LeaseRow* LeaseBook::Find(int64_t token) const {
  const auto found = active_.find(token);
  return found == active_.end() ? nullptr : &found->second.row;
}

const LeaseRow* LeaseBook::FindByWorker(const std::string& worker_id) const {
  const auto found = by_worker_.find(worker_id);
  return found == by_worker_.end() ? nullptr : Find(found->second);
}

void LeaseBook::Renew(int64_t token, int64_t sample_count, bool waiting, absl::Duration now) {
  Active& active = active_.at(token);
  active.deadline = now + duration_;
  if (waiting || sample_count > active.sample_count) active.got_on = now;
  active.sample_count = std::max(active.sample_count, sample_count);
}

void LeaseBook::NoteUpload(int64_t token) {
  const auto found = active_.find(token);
  if (found != active_.end()) found->second.uploading = true;
}

void LeaseBook::Remove(int64_t token) {
  const auto found = active_.find(token);
  if (found == active_.end()) return;
  const Lease& lease = found->second.row.lease;
  const auto worker = by_worker_.find(lease.worker_id);
  if (worker != by_worker_.end() && worker->second == token) by_worker_.erase(worker);
  const auto run = by_run_.find(lease.task.run_id);
  run->second.erase(token);
  if (run->second.empty()) by_run_.erase(run);
  active_.erase(found);
}

int64_t LeaseBook::CountOfRun(const std::string& run_id) const {
  const auto run = by_run_.find(run_id);
  return run == by_run_.end() ? 0 : static_cast<int64_t>(run->second.size());
}

std::vector<LeaseRow> LeaseBook::OfRun(const std::string& run_id) const {
  std::vector<LeaseRow> rows;
  const auto run = by_run_.find(run_id);
  if (run == by_run_.end()) return rows;
  for (const int64_t token : run->second) rows.push_back(active_.at(token).row);
  return rows;
}

absl::Duration LeaseBook::Age(int64_t token, absl::Duration now) const {
  return now - active_.at(token).granted;
}

absl::Duration LeaseBook::AgesOfRun(const std::string& run_id, absl::Duration least,
                                    absl::Duration now) const {
  absl::Duration sum;
  const auto run = by_run_.find(run_id);
  if (run == by_run_.end()) return sum;
  for (const int64_t token : run->second) sum += std::max(least, Age(token, now));
  return sum;
}

absl::Duration LeaseBook::OldestOfRun(const std::string& run_id, absl::Duration now) const {
  const auto run = by_run_.find(run_id);
  // Tokens are given out in order.
  return run == by_run_.end() ? -absl::InfiniteDuration() : Age(*run->second.begin(), now);
}

std::vector<LeaseRow> LeaseBook::Expired(absl::Duration now) {
  std::vector<LeaseRow> rows;
  if (now < earliest_deadline_) return rows;
  earliest_deadline_ = absl::InfiniteDuration();
  for (const auto& [token, active] : active_) {
    earliest_deadline_ = std::min(earliest_deadline_, active.deadline);
    if (active.deadline <= now) rows.push_back(active.row);
  }
  return rows;
}

std::vector<LeaseRow> LeaseBook::Stalled(absl::Duration limit, absl::Duration now) {
  std::vector<LeaseRow> rows;
  if (now < earliest_progress_ + limit) return rows;
  earliest_progress_ = absl::InfiniteDuration();
  for (const auto& [token, active] : active_) {
    earliest_progress_ = std::min(earliest_progress_, active.got_on);
    if (active.row.lease.task.kind == TaskKind::kTrain && !active.uploading &&
        active.got_on + limit <= now) {
      rows.push_back(active.row);
    }
  }
  return rows;
}

}  // namespace distillery

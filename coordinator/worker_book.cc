#include "coordinator/worker_book.h"

#include <iterator>
#include <utility>

namespace distillery {

WorkerEntry* WorkerBook::Find(const std::string& worker_id) {
  const auto found = workers_.find(worker_id);
  return found == workers_.end() ? nullptr : &found->second;
}

const WorkerEntry* WorkerBook::Find(const std::string& worker_id) const {
  const auto found = workers_.find(worker_id);
  return found == workers_.end() ? nullptr : &found->second;
}

std::vector<const WorkerEntry*> WorkerBook::OfRequest(const std::string& request_id) const {
  std::vector<const WorkerEntry*> workers;
  const auto [first, last] = by_request_.equal_range(request_id);
  for (auto entry = first; entry != last; ++entry) workers.push_back(Find(entry->second));
  return workers;
}

void WorkerBook::Add(WorkerRow row, absl::Duration last_seen) {
  const std::string id = row.worker_id;
  by_request_.emplace(row.request_id, id);
  const auto [added, is_new] = workers_.emplace(id, WorkerEntry{std::move(row), last_seen});
  by_silence_.insert(PlaceOf(added->second));
}

void WorkerBook::Touch(WorkerEntry* worker, absl::Duration now) {
  by_silence_.erase(PlaceOf(*worker));
  worker->last_seen = now;
  by_silence_.insert(PlaceOf(*worker));
}

void WorkerBook::Remove(const std::string& worker_id) {
  const auto found = workers_.find(worker_id);
  if (found == workers_.end()) return;
  by_silence_.erase(PlaceOf(found->second));
  const auto [first, last] = by_request_.equal_range(found->second.row.request_id);
  for (auto entry = first; entry != last; ++entry) {
    if (entry->second != worker_id) continue;
    by_request_.erase(entry);
    break;
  }
  workers_.erase(found);
}

const WorkerEntry& WorkerBook::MostSilent() const {
  return workers_.at(std::get<std::string>(*by_silence_.begin()));
}

std::vector<const WorkerEntry*> WorkerBook::HeardSince(absl::Duration since) const {
  std::vector<const WorkerEntry*> workers;
  for (auto place = by_silence_.lower_bound(Place(since, 0, "")); place != by_silence_.end();
       ++place) {
    workers.push_back(Find(std::get<std::string>(*place)));
  }
  return workers;
}

int64_t WorkerBook::CountHeardSince(absl::Duration since) const {
  return std::distance(by_silence_.lower_bound(Place(since, 0, "")), by_silence_.end());
}

}  // namespace distillery

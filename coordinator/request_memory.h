// The newest request_ids of counted results, so that a late retry is told "duplicate". A retry
// comes within minutes, so old ones can be forgotten: memory stays bounded however long the
// coordinator runs.
//
// Threads: one at a time; Ledger guards it.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <unordered_set>

namespace distillery {

class RequestMemory {
 public:
  static constexpr size_t kMost = 16384;

  void insert(const std::string& request_id) {
    if (!known_.insert(request_id).second) return;
    order_.push_back(request_id);
    if (order_.size() <= kMost) return;
    known_.erase(order_.front());
    order_.pop_front();
  }
  size_t count(const std::string& request_id) const { return known_.count(request_id); }
  size_t size() const { return known_.size(); }

 private:
  std::unordered_set<std::string> known_;
  // Oldest first.
  std::deque<std::string> order_;
};

}  // namespace distillery

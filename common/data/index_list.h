// The stored indexes of a split. They cost nothing while they follow one another, as those of most
// data sets do: a list of 10 million would take 80 MB.
//
// Threads: as std::vector.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "common/data/list_iterator.h"

namespace distillery {

class IndexList {
 public:
  using value_type = int64_t;
  using const_reference = int64_t;
  using const_iterator = ListIterator<IndexList>;
  using iterator = const_iterator;

  IndexList() = default;
  IndexList(std::initializer_list<int64_t> indexes) {
    for (const int64_t index : indexes) push_back(index);
  }
  // first, first + 1, ...
  static IndexList Range(int64_t first, int64_t count) {
    IndexList list;
    list.first_ = first;
    list.count_ = count;
    return list;
  }

  void push_back(int64_t index) {
    if (list_.empty() && (count_ == 0 || index == first_ + count_)) {
      if (count_ == 0) first_ = index;
      ++count_;
      return;
    }
    if (list_.empty()) {
      for (int64_t i = 0; i < count_; ++i) list_.push_back(first_ + i);
    }
    list_.push_back(index);
    ++count_;
  }
  // REQUIRES: 0 <= place < size().
  int64_t operator[](int64_t place) const { return list_.empty() ? first_ + place : list_[place]; }
  size_t size() const { return static_cast<size_t>(count_); }
  bool empty() const { return count_ == 0; }
  const_iterator begin() const { return {this, 0}; }
  const_iterator end() const { return {this, count_}; }

 private:
  int64_t first_ = 0;
  int64_t count_ = 0;
  // Empty while they follow one another from first_ on.
  std::vector<int64_t> list_;
};

}  // namespace distillery

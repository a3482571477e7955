// Goes through a list that makes its elements when asked for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace distillery {

// `List` has value_type and operator[](int64_t). Valid as long as the list is neither changed nor
// moved.
template <typename List>
class ListIterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = typename List::value_type;
  using difference_type = std::ptrdiff_t;
  using pointer = const value_type*;
  using reference = value_type;

  ListIterator() = default;
  ListIterator(const List* list, int64_t index) : list_(list), index_(index) {}

  value_type operator*() const { return (*list_)[index_]; }
  ListIterator& operator++() {
    ++index_;
    return *this;
  }
  ListIterator operator++(int) { return {list_, index_++}; }
  friend bool operator==(const ListIterator& a, const ListIterator& b) {
    return a.index_ == b.index_;
  }
  friend bool operator!=(const ListIterator& a, const ListIterator& b) { return !(a == b); }

 private:
  const List* list_ = nullptr;
  int64_t index_ = 0;
};

}  // namespace distillery

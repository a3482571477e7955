// The classes of samples, one byte each up to class 255, two beyond: there may be millions.
//
// Threads: as std::vector.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "common/data/list_iterator.h"

namespace distillery {

class LabelList {
 public:
  static constexpr int32_t kMax = 65535;

  using value_type = int32_t;
  using const_reference = int32_t;
  using const_iterator = ListIterator<LabelList>;
  using iterator = const_iterator;

  LabelList() = default;
  LabelList(std::initializer_list<int32_t> labels) {
    for (const int32_t label : labels) push_back(label);
  }
  explicit LabelList(const std::vector<int32_t>& labels) {
    for (const int32_t label : labels) push_back(label);
  }

  // REQUIRES: 0 <= label <= kMax.
  void push_back(int32_t label) {
    if (label > UINT8_MAX && narrow_) Widen();
    if (narrow_) {
      bytes_.push_back(static_cast<uint8_t>(label));
    } else {
      wide_.push_back(static_cast<uint16_t>(label));
    }
  }
  // REQUIRES: 0 <= index < size().
  int32_t operator[](int64_t index) const { return narrow_ ? bytes_[index] : wide_[index]; }
  size_t size() const { return narrow_ ? bytes_.size() : wide_.size(); }
  bool empty() const { return size() == 0; }
  void reserve(size_t size) { narrow_ ? bytes_.reserve(size) : wide_.reserve(size); }
  // Drops all from `size` on. REQUIRES: size <= size().
  void Truncate(size_t size) { narrow_ ? bytes_.resize(size) : wide_.resize(size); }
  const_iterator begin() const { return {this, 0}; }
  const_iterator end() const { return {this, static_cast<int64_t>(size())}; }
  friend bool operator==(const LabelList& a, const LabelList& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  void Widen() {
    wide_.reserve(bytes_.capacity());
    wide_.assign(bytes_.begin(), bytes_.end());
    bytes_ = {};
    narrow_ = false;
  }

  // All are below 256, and in bytes_; else they are in wide_.
  bool narrow_ = true;
  std::vector<uint8_t> bytes_;
  std::vector<uint16_t> wide_;
};

}  // namespace distillery

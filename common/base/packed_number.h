// Numbers that lie packed in bytes, at any address, in the order of this machine: little-endian.
#pragma once

#include <cstdint>
#include <cstring>

namespace distillery {

// The number at `index` of those of type T that begin at `numbers`.
template <typename T>
T NumberAt(const uint8_t* numbers, int64_t index) {
  T number;
  std::memcpy(&number, numbers + index * static_cast<int64_t>(sizeof number), sizeof number);
  return number;
}

}  // namespace distillery

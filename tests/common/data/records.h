// Numbers in the bytes of samples and of files, for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "common/data/samples.h"

namespace distillery {

template <typename T>
std::string BytesOf(const std::vector<T>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T)};
}

// `count` numbers from byte `offset` on of a sample that is held in memory.
template <typename T>
std::vector<T> NumbersOf(const StoredSamples& samples, int64_t index, int64_t offset,
                         int64_t count) {
  std::vector<T> numbers(static_cast<size_t>(count));
  std::memcpy(numbers.data(), samples.Record(index) + offset, numbers.size() * sizeof(T));
  return numbers;
}

}  // namespace distillery

// Numbers in the bytes of samples and of files, for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/data/dataset.h"
#include "common/data/samples.h"
#include "tests/common/status_matchers.h"

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

// The training split, in shards of two.
inline std::shared_ptr<const Dataset> OpenTrain(StoredSamples samples) {
  const std::string name = samples.name;
  auto dataset = Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                                 {name, "train", 2});
  EXPECT_THAT(dataset, IsOk());
  return *dataset;
}

}  // namespace distillery

#include "common/data/split_rows.h"

#include "common/base/philox.h"

namespace distillery {
namespace {

// Fixed for ever: they are part of what a split's name means.
constexpr int64_t kOrderSeed = 1;
constexpr int64_t kValidationParts = 5;

std::vector<uint32_t> Order(int64_t size) {
  return Permutation32(size, RandomStream(kOrderSeed, "sample-order"));
}

}  // namespace

std::vector<uint32_t> SampleOrder(const StoredSamples& samples, const std::string& split) {
  const IndexList& given = split == "test" ? samples.test : samples.train;
  const auto size = static_cast<int64_t>(given.size());
  std::vector<uint32_t> order;
  if (split == "fit" || split == "validation") {
    const std::vector<uint32_t> drawn =
        Permutation32(size, RandomStream(kOrderSeed, "validation-split"));
    const int64_t validation = size / kValidationParts;
    const int64_t first = split == "fit" ? validation : 0;
    order = Order(split == "fit" ? size - validation : validation);
    for (uint32_t& index : order) index = drawn[first + index];
  } else {
    order = Order(size);
  }
  for (uint32_t& index : order) index = static_cast<uint32_t>(given[index]);
  return order;
}

}  // namespace distillery

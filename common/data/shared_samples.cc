#include "common/data/shared_samples.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "common/base/checksum.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Half a SHA-256: two unlike samples in 2^64 share one by chance.
using Mark = std::array<char, 16>;

absl::Status ForEachMark(const Dataset& dataset, const std::function<void(const Mark&)>& use) {
  constexpr int64_t kBlockBytes = int64_t{4} << 20;
  const int64_t record_bytes = dataset.record_bytes();
  const int64_t block = std::max<int64_t>(1, kBlockBytes / record_bytes);
  std::vector<int64_t> rows;
  std::vector<uint8_t> pixels;
  for (int64_t first = 0; first < dataset.size(); first += block) {
    rows.clear();
    for (int64_t row = first; row < std::min(first + block, dataset.size()); ++row) {
      rows.push_back(row);
    }
    pixels.resize(rows.size() * static_cast<size_t>(record_bytes));
    DISTILLERY_RETURN_IF_ERROR(dataset.ReadRecords(rows, pixels.data()));
    for (size_t i = 0; i < rows.size(); ++i) {
      Sha256 hash;
      hash.Update({reinterpret_cast<const char*>(&pixels[i * static_cast<size_t>(record_bytes)]),
                   static_cast<size_t>(record_bytes)});
      const auto digest = hash.Digest();
      Mark mark;
      std::memcpy(mark.data(), digest.data(), mark.size());
      use(mark);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SharedSamples> FindSharedSamples(const Dataset& train, const Dataset& test) {
  if (!(train.spec() == test.spec())) {
    return absl::InvalidArgumentError("the splits have samples of unlike shapes");
  }
  // Rows are below kMaxSamples.
  std::vector<std::pair<Mark, uint32_t>> seen;
  seen.reserve(static_cast<size_t>(train.size()));
  DISTILLERY_RETURN_IF_ERROR(ForEachMark(train, [&](const Mark& mark) {
    seen.emplace_back(mark, static_cast<uint32_t>(seen.size()));
  }));
  std::sort(seen.begin(), seen.end());
  SharedSamples shared;
  int64_t row = 0;
  DISTILLERY_RETURN_IF_ERROR(ForEachMark(test, [&](const Mark& mark) {
    const auto found = std::lower_bound(seen.begin(), seen.end(), std::pair{mark, uint32_t{0}});
    if (found != seen.end() && found->first == mark) {
      if (++shared.count <= static_cast<int64_t>(kSharedSamplesNamed)) {
        shared.first.emplace_back(row, found->second);
      }
    }
    ++row;
  }));
  return shared;
}

}  // namespace distillery

#include "common/base/philox.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace distillery {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;

// FNV-1a, 64 bits: names a purpose by a number that never changes between builds.
uint64_t HashPurpose(absl::string_view purpose) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : purpose) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3;
  }
  return hash;
}

// Folds `value` into `state` by one Philox block.
uint64_t Fold(uint64_t state, uint64_t value) {
  const auto block =
      Philox4x32({static_cast<uint32_t>(state), static_cast<uint32_t>(state >> 32), 0x64697374, 0},
                 {static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)});
  return (uint64_t{block[1]} << 32) | block[0];
}

template <typename Index>
std::vector<Index> Shuffled(int64_t size, RandomStream stream) {
  std::vector<Index> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), Index{0});
  // Places are drawn some steps ahead of the swaps, so that the memory they lie in is on its way:
  // of 10 million, most are in no cache.
  constexpr int64_t kAhead = 64;
  std::array<uint64_t, kAhead> places{};
  for (int64_t last = size - 1; last > 0; last -= kAhead) {
    const int64_t steps = std::min(kAhead, last);
    for (int64_t step = 0; step < steps; ++step) {
      places[step] = stream.Below(static_cast<uint64_t>(last - step) + 1);
      __builtin_prefetch(&order[places[step]], /*rw=*/1);
    }
    for (int64_t step = 0; step < steps; ++step) {
      std::swap(order[last - step], order[places[step]]);
    }
  }
  return order;
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

RandomStream::RandomStream(int64_t seed, absl::string_view purpose, uint64_t a, uint64_t b) {
  const uint64_t key = Fold(HashPurpose(purpose), static_cast<uint64_t>(seed));
  key_ = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  prefix_ = Fold(Fold(0, a), b);
}

uint32_t RandomStream::Next32() {
  if (used_ == 4) {
    block_ = Philox4x32({static_cast<uint32_t>(position_), static_cast<uint32_t>(position_ >> 32),
                         static_cast<uint32_t>(prefix_), static_cast<uint32_t>(prefix_ >> 32)},
                        key_);
    ++position_;
    used_ = 0;
  }
  return block_[used_++];
}

uint64_t RandomStream::Next64() {
  const uint64_t low = Next32();
  return (uint64_t{Next32()} << 32) | low;
}

uint64_t RandomStream::Below(uint64_t bound) {
  // Rejects the values of the last, incomplete multiple of bound. It has fewer than bound values,
  // so that nearly all draws need no look at where it begins: a division less.
  uint64_t value = Next64();
  if (value > UINT64_MAX - bound) {
    const uint64_t limit = UINT64_MAX - (UINT64_MAX % bound + 1) % bound;
    while (value > limit) value = Next64();
  }
  return value % bound;
}

float RandomStream::Uniform() { return static_cast<float>(Next32() >> 8) * 0x1.0p-24F; }

uint64_t DeriveSeed(int64_t seed, absl::string_view purpose, uint64_t a, uint64_t b, uint64_t c) {
  return Fold(Fold(Fold(Fold(HashPurpose(purpose), static_cast<uint64_t>(seed)), a), b), c);
}

std::vector<int64_t> Permutation(int64_t size, RandomStream stream) {
  return Shuffled<int64_t>(size, stream);
}

std::vector<uint32_t> Permutation32(int64_t size, RandomStream stream) {
  return Shuffled<uint32_t>(size, stream);
}

}  // namespace distillery

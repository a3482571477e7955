// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011). A draw is a pure function of (seed, purpose, indexes,
// position), so no generator state is shared between tasks and any part of a sequence can be made
// alone.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace distillery {

// One block: 128 random bits from a 128-bit counter and a 64-bit key.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The stream of random numbers that (seed, purpose, a, b) names. Indexes a and b are, for example,
// epoch and shard. Not thread-safe; cheap to make.
class RandomStream {
 public:
  RandomStream(int64_t seed, absl::string_view purpose, uint64_t a = 0, uint64_t b = 0);

  uint32_t Next32();
  uint64_t Next64();
  // Uniform in [0, bound), without modulo bias. REQUIRES: bound > 0.
  uint64_t Below(uint64_t bound);
  // Uniform in [0, 1), a multiple of 2^-24: exact in float.
  float Uniform();

 private:
  std::array<uint32_t, 2> key_;
  uint64_t prefix_;
  uint64_t position_ = 0;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

// A seed for generators that take one (LibTorch's default generator, for dropout).
uint64_t DeriveSeed(int64_t seed, absl::string_view purpose, uint64_t a = 0, uint64_t b = 0,
                    uint64_t c = 0);

// Fisher-Yates: a permutation of 0..size-1 drawn from `stream`.
std::vector<int64_t> Permutation(int64_t size, RandomStream stream);

// The same permutation in half the memory, for millions. REQUIRES: size <= 2^32.
std::vector<uint32_t> Permutation32(int64_t size, RandomStream stream);

}  // namespace distillery

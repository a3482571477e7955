// A file descriptor that closes itself, reads at a place, and how many are left.
#pragma once

#include <cstdint>
#include <utility>

namespace distillery {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor();

  // -1: none.
  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }
  // Gives it to the caller.
  int Release() { return std::exchange(number_, -1); }

 private:
  int number_ = -1;
};

// How far a ReadAt came.
struct ReadOutcome {
  int64_t bytes = 0;
  // errno of a read that failed; 0: all is read, or the file ends there.
  int error_number = 0;
};

// Reads `bytes` from `offset` on, or as many as there are, with pread; goes on after signals.
ReadOutcome ReadAt(int descriptor, int64_t offset, int64_t bytes, void* output);

// How many descriptors this process can still open, counted up to `most`. Looks at each number from
// 0 on: tens of nanoseconds for each that is open.
int64_t FreeDescriptors(int64_t most);

}  // namespace distillery

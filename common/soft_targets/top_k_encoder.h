// The k largest probabilities of a row, and the mass of the others.
#pragma once

#include <cstdint>
#include <vector>

namespace distillery {

// Encodes one row at a time; holds the scratch memory that rows share. Not thread-safe.
class TopKEncoder {
 public:
  // REQUIRES: 1 <= top_k <= classes.
  TopKEncoder(int64_t classes, int64_t top_k);

  // Reads z/T [classes] from `row` and overwrites it. Writes float16 values [top_k], largest first,
  // their int16 or int32 class indexes [top_k], and the float16 tail, without alignment.
  void Encode(float* row, char* values, char* class_indexes, char* tail_mass);

 private:
  const int64_t classes_;
  const int64_t top_k_;
  const int64_t index_bytes_;
  // Value and class in one number, [classes].
  std::vector<uint64_t> keys_;
  // exp(z/T - largest) [top_k]
  std::vector<double> top_;
};

}  // namespace distillery

// The mean and the deviation of the numbers of one channel, and the walk over those of a sample.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/half.h"
#include "common/base/packed_number.h"
#include "common/data/sample_spec.h"

namespace distillery {

// Sums of numbers less `shift`, the first of them: the squares of numbers that lie far from 0 would
// swallow how far they lie from each other.
struct NumberSums {
  std::optional<double> shift;
  double values = 0;
  double squares = 0;

  void Add(double value) {
    if (!shift.has_value()) shift = value;
    values += value - *shift;
    squares += (value - *shift) * (value - *shift);
  }
  // Of so many numbers, at least 1. Rounding may take the variance below 0.
  double Mean(double count) const { return shift.value_or(0) + values / count; }
  double Variance(double count) const {
    const double mean = values / count;
    return squares / count - mean * mean;
  }
};

// Calls visit(channel, number) for each number of a record that has a channel
// (InputSpec::channels), counted over all inputs in order; pixels as they are stored.
template <typename Visit>
void ForEachNumber(const SampleSpec& spec, const uint8_t* record, const Visit& visit) {
  int64_t first = 0;
  for (const InputSpec& input : spec.inputs) {
    const int64_t channels = input.channels();
    const int64_t plane = channels == 0 ? 1 : input.elements() / channels;
    for (int64_t i = 0; i < channels * plane; ++i) {
      float number = 0;
      if (input.type == ElementType::kUInt8) {
        number = record[i];
      } else if (input.type == ElementType::kFloat16) {
        number = HalfToFloat(NumberAt<uint16_t>(record, i));
      } else {
        number = NumberAt<float>(record, i);
      }
      visit(first + i / plane, number);
    }
    first += channels;
    record += input.bytes();
  }
}

}  // namespace distillery

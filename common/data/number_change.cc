#include "common/data/number_change.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"

namespace distillery {
namespace {

using Kind = AugmentationPart::Kind;

float Finite(double number) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(number, -kMost, kMost));
}

// Replaces each of `count` floats by change(float), a double.
template <typename Change>
void ChangeFloats(uint8_t* numbers, int64_t count, const Change& change) {
  for (int64_t i = 0; i < count; ++i) {
    float number = 0;
    std::memcpy(&number, numbers + 4 * i, 4);
    number = Finite(change(static_cast<double>(number)));
    std::memcpy(numbers + 4 * i, &number, 4);
  }
}

void Shift(const AugmentationPart& part, const InputSpec& input, RandomStream* random,
           uint8_t* numbers) {
  const int64_t later = DrawEither(part.numbers[0], random);
  const int64_t length = input.shape.back();
  const int64_t moved = std::min(length, later < 0 ? -later : later);
  const auto kept = static_cast<size_t>(4 * (length - moved));
  for (int64_t row = 0; row < input.elements() / length; ++row) {
    uint8_t* const first = numbers + 4 * row * length;
    uint8_t* const split = first + 4 * moved;
    std::memmove(later < 0 ? first : split, later < 0 ? split : first, kept);
    std::memset(later < 0 ? first + kept : first, 0, static_cast<size_t>(4 * moved));
  }
}

void Gain(const AugmentationPart& part, const InputSpec& input, RandomStream* random,
          uint8_t* numbers) {
  // 10^(1/200), a tenth of a decibel. Products alone, so that all machines agree.
  constexpr double kTenth = 1.0115794542598986;
  const int64_t tenths = DrawEither(10 * int64_t{part.numbers[0]}, random);
  double factor = 1;
  for (int64_t i = 0; i < (tenths < 0 ? -tenths : tenths); ++i) factor *= kTenth;
  if (tenths < 0) factor = 1 / factor;
  ChangeFloats(numbers, input.elements(), [factor](double number) { return number * factor; });
}

void Noise(const AugmentationPart& part, const InputSpec& input, RandomStream* random,
           uint8_t* numbers) {
  if (part.numbers[0] == 0) return;
  // The sum of four whole numbers 0 to 65,535 has the mean 131,070 and the variance
  // 4 (65536^2 - 1) / 12, whose root is 37837.2.
  constexpr double kDeviation = 37837.227;
  const double scale = static_cast<double>(part.numbers[0]) / 100.0 / kDeviation;
  ChangeFloats(numbers, input.elements(), [&](double number) {
    int64_t sum = -131070;
    for (int i = 0; i < 2; ++i) {
      const uint32_t bits = random->Next32();
      sum += (bits & 0xFFFF) + (bits >> 16);
    }
    // Rounded to float before it is added, so that no machine does both in one rounding.
    const auto step = static_cast<float>(static_cast<double>(sum) * scale);
    return number + static_cast<double>(step);
  });
}

void Mask(const AugmentationPart& part, const InputSpec& input, RandomStream* random,
          uint8_t* numbers) {
  const auto bytes = static_cast<size_t>(SpecOf(input.type).bytes);
  for (int64_t i = 0; i < input.elements(); ++i) {
    // Token 0 stays what it is. Every place draws, so that no place depends on another's token.
    if (random->Below(100) < static_cast<uint64_t>(part.numbers[0])) {
      std::memset(numbers + i * static_cast<int64_t>(bytes), 0, bytes);
    }
  }
}

}  // namespace

void ChangeNumbers(const AugmentationPart& part, const InputSpec& input, int64_t seed,
                   int64_t stored_index, int64_t view, uint8_t* numbers) {
  const auto index = static_cast<uint64_t>(stored_index);
  const auto of_view = static_cast<uint64_t>(view);
  // Sounds of one sample move together; noise and masks differ from input to input.
  RandomStream together(seed, NameOf(part), index, of_view);
  const auto apart = [&] {
    return RandomStream(seed, absl::StrCat(NameOf(part), "/", input.name), index, of_view);
  };
  switch (part.kind) {
    case Kind::kShift:
      return Shift(part, input, &together, numbers);
    case Kind::kGain:
      return Gain(part, input, &together, numbers);
    case Kind::kNoise: {
      RandomStream own = apart();
      return Noise(part, input, &own, numbers);
    }
    case Kind::kMask: {
      RandomStream own = apart();
      return Mask(part, input, &own, numbers);
    }
    default:
      return;
  }
}

}  // namespace distillery

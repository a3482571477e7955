#include "common/data/resample.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace distillery {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int64_t kZeroCrossings = 16;
constexpr int kBits = 24;

// The filter for outputs that lie `phase` / `phases` behind an input sample: its coefficient i is
// that of the sample i - reach + 1 from there.
std::vector<int32_t> Coefficients(int64_t phase, int64_t phases, double cutoff, int64_t reach) {
  std::vector<int32_t> filter(static_cast<size_t>(2 * reach));
  const double offset = static_cast<double>(phase) / static_cast<double>(phases);
  std::vector<double> exact(filter.size());
  double sum = 0;
  for (size_t i = 0; i < filter.size(); ++i) {
    const double place =
        cutoff * (static_cast<double>(static_cast<int64_t>(i) - reach + 1) - offset);
    const double turn = kPi * place;
    const double sinc = place == 0 ? 1 : std::sin(turn) / turn;
    const double window =
        std::abs(place) < kZeroCrossings ? (1 + std::cos(turn / kZeroCrossings)) / 2 : 0;
    exact[i] = sinc * window;
    sum += exact[i];
  }
  int64_t total = 0;
  for (size_t i = 0; i < filter.size(); ++i) {
    filter[i] = static_cast<int32_t>(std::floor(exact[i] / sum * (1 << kBits) + 0.5));
    total += filter[i];
  }
  // What rounding took goes to the largest.
  *std::max_element(filter.begin(), filter.end()) += static_cast<int32_t>((1 << kBits) - total);
  return filter;
}

}  // namespace

std::vector<int16_t> Resample(const std::vector<int16_t>& samples, int64_t from, int64_t to,
                              int64_t most) {
  const auto size = static_cast<int64_t>(samples.size());
  if (from == to) {
    return {samples.begin(), samples.begin() + std::min(size, most)};
  }
  const int64_t common = std::gcd(from, to);
  const int64_t step = from / common;
  const int64_t phases = to / common;
  const double cutoff = std::min(1.0, static_cast<double>(to) / static_cast<double>(from));
  const auto reach = static_cast<int64_t>(std::ceil(kZeroCrossings / cutoff));
  const int64_t count = std::min(most, (size * phases + step - 1) / step);
  std::vector<int16_t> output(static_cast<size_t>(count));
  // All outputs of one phase, one after the other, so that one filter is held.
  for (int64_t first = 0; first < std::min(phases, count); ++first) {
    const std::vector<int32_t> filter = Coefficients(first * step % phases, phases, cutoff, reach);
    for (int64_t n = first; n < count; n += phases) {
      const int64_t start = n * step / phases - reach + 1;
      int64_t sum = int64_t{1} << (kBits - 1);
      const int64_t begin = std::max<int64_t>(0, -start);
      const int64_t end = std::min<int64_t>(2 * reach, size - start);
      for (int64_t i = begin; i < end; ++i) {
        sum += int64_t{filter[static_cast<size_t>(i)]} * samples[static_cast<size_t>(start + i)];
      }
      output[static_cast<size_t>(n)] =
          static_cast<int16_t>(std::clamp<int64_t>(sum >> kBits, INT16_MIN, INT16_MAX));
    }
  }
  return output;
}

}  // namespace distillery

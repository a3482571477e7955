#include "common/data/log_mel.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kLeastPower = 1e-10;
constexpr double kSteps = 1024;
constexpr int64_t kSmallestWindow = 16;
constexpr int64_t kLargestWindow = 16384;
constexpr int64_t kMostBands = 512;

using Complex = std::complex<double>;

double Mel(double frequency) { return 2595 * std::log10(1 + frequency / 700); }
double Frequency(double mel) { return 700 * (std::pow(10, mel / 2595) - 1); }

// The discrete Fourier transform in place, by halves (Cooley and Tukey 1965).
void Transform(const std::vector<Complex>& turns, std::vector<Complex>* values) {
  std::vector<Complex>& x = *values;
  const size_t size = x.size();
  for (size_t i = 1, j = 0; i < size; ++i) {
    size_t bit = size >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(x[i], x[j]);
  }
  for (size_t length = 2; length <= size; length *= 2) {
    const size_t step = size / length;
    for (size_t start = 0; start < size; start += length) {
      for (size_t i = 0; i < length / 2; ++i) {
        const Complex& turn = turns[i * step];
        const Complex& b = x[start + i + length / 2];
        // Written out: the operator also looks after infinities.
        const Complex product(b.real() * turn.real() - b.imag() * turn.imag(),
                              b.real() * turn.imag() + b.imag() * turn.real());
        const Complex a = x[start + i];
        x[start + i] = a + product;
        x[start + i + length / 2] = a - product;
      }
    }
  }
}

absl::Status CheckOptions(const LogMelOptions& options, int64_t samples) {
  const auto wrong = [](const char* key, int64_t value, const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(key, " must be ", what, ", got ", value));
  };
  if (options.bands < 1 || options.bands > kMostBands) {
    return wrong("mel_bands", options.bands, absl::StrCat("1 to ", kMostBands));
  }
  if (options.window < kSmallestWindow || options.window > kLargestWindow ||
      (options.window & (options.window - 1)) != 0) {
    return wrong("window", options.window,
                 absl::StrCat("a power of two, ", kSmallestWindow, " to ", kLargestWindow));
  }
  if (options.hop < 1 || options.hop > options.window) {
    return wrong("hop", options.hop, absl::StrCat("1 to the window, ", options.window));
  }
  if (samples < options.window) {
    return wrong("window", options.window,
                 absl::StrCat("at most the length of a recording, ", samples));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LogMel> LogMel::Create(const LogMelOptions& options, int64_t rate, int64_t samples) {
  if (absl::Status status = CheckOptions(options, samples); !status.ok()) return status;
  LogMel made(options, 1 + (samples - options.window) / options.hop);
  const auto window = static_cast<double>(options.window);
  for (int64_t i = 0; i < options.window; ++i) {
    const double turn = 2 * kPi * static_cast<double>(i) / window;
    made.window_.push_back((1 - std::cos(turn)) / 2);
    if (i < options.window / 2) made.turns_.emplace_back(std::cos(turn), -std::sin(turn));
  }
  const double highest = Mel(static_cast<double>(rate) / 2);
  const auto point = [&](int64_t number) {
    return Frequency(highest * static_cast<double>(number) /
                     static_cast<double>(options.bands + 1));
  };
  for (int64_t m = 0; m < options.bands; ++m) {
    const double low = point(m);
    const double top = point(m + 1);
    const double high = point(m + 2);
    Band band;
    for (int64_t b = 0; b <= options.window / 2; ++b) {
      const double frequency = static_cast<double>(b * rate) / window;
      const double weight =
          std::min((frequency - low) / (top - low), (high - frequency) / (high - top));
      if (weight <= 0) continue;
      if (band.weights.empty()) band.first = b;
      band.weights.push_back(weight);
    }
    if (band.weights.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("mel_bands ", options.bands, " are too many for a window of ",
                       options.window, " samples at ", rate, " Hz: band ", m + 1,
                       " has no frequency; take fewer bands or a larger window"));
    }
    made.bands_.push_back(std::move(band));
  }
  return made;
}

void LogMel::Compute(const float* sound, float* output) const {
  std::vector<Complex> values(window_.size());
  std::vector<double> power(window_.size() / 2 + 1);
  for (int64_t f = 0; f < frames_; ++f) {
    const float* const start = sound + f * options_.hop;
    for (size_t i = 0; i < values.size(); ++i) values[i] = window_[i] * start[i];
    Transform(turns_, &values);
    for (size_t b = 0; b < power.size(); ++b) {
      power[b] = values[b].real() * values[b].real() + values[b].imag() * values[b].imag();
    }
    for (size_t m = 0; m < bands_.size(); ++m) {
      double sum = 0;
      for (size_t i = 0; i < bands_[m].weights.size(); ++i) {
        sum += bands_[m].weights[i] * power[static_cast<size_t>(bands_[m].first) + i];
      }
      const double rounded = std::floor(std::log(std::max(sum, kLeastPower)) * kSteps + 0.5);
      output[static_cast<int64_t>(m) * frames_ + f] = static_cast<float>(rounded / kSteps);
    }
  }
}

}  // namespace distillery

// Log-mel spectrograms of sound.
#pragma once

#include <complex>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

struct LogMelOptions {
  int64_t bands = 40;
  // Samples that are looked at together, a power of two, and by how many one frame lies behind the
  // one before.
  int64_t window = 256;
  int64_t hop = 128;
};

// Frame f of x has the power spectrum P[b] = |sum over i of w[i] x[f hop + i] e^(-2 pi j b i /
// window)|^2 under the Hann window w[i] = (1 - cos(2 pi i / window)) / 2. Band m is a triangle in
// frequency, 0 at the points m and m + 2 and 1 at the point m + 1 of bands + 2 points that are
// equally far apart from 0 to rate / 2 on the mel scale, mel(f) = 2595 log10(1 + f / 700)
// (O'Shaughnessy 1987; HTK). The value is ln(max(sum over b of triangle(b rate / window) P[b],
// 1e-10)), rounded to the nearest multiple of 1/1024, so that machines whose logarithms differ in
// the last bits agree. It is computed in float64.
//
// Threads: immutable once made, safe for all.
class LogMel {
 public:
  // INVALID_ARGUMENT for numbers that cannot be, fewer samples than a window, or a band that is so
  // narrow that no frequency of the spectrum lies in it.
  static absl::StatusOr<LogMel> Create(const LogMelOptions& options, int64_t rate, int64_t samples);

  int64_t bands() const { return options_.bands; }
  int64_t frames() const { return frames_; }
  // `sound`: as many samples, in -1 to 1. Writes [bands, frames].
  void Compute(const float* sound, float* output) const;

 private:
  // One band's triangle over frequencies from `first` on.
  struct Band {
    int64_t first = 0;
    std::vector<double> weights;
  };
  LogMel(const LogMelOptions& options, int64_t frames) : options_(options), frames_(frames) {}

  LogMelOptions options_;
  int64_t frames_;
  std::vector<double> window_;
  // e^(-2 pi j i / window), i below half of it.
  std::vector<std::complex<double>> turns_;
  std::vector<Band> bands_;
};

}  // namespace distillery

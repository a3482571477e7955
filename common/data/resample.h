// Sound at another rate, with the same samples on every machine.
#pragma once

#include <cstdint>
#include <vector>

namespace distillery {

// A low-pass filter of a sinc under a Hann window of 16 zero crossings to each side (Smith,
// "Digital audio resampling", 2002), whose coefficients are whole numbers, each phase's sum 2^24.
// With r = min(1, to / from), sample n of the output is
//   sum over k of x[k] * r sinc(r (t - k)) * (1 + cos(pi r (t - k) / 16)) / 2, t = n from / to,
// rounded, halves upwards, and clipped to 16 bits; x is 0 beyond its ends. There are ceil(size * to
// / from) samples, at most `most`. Equal rates change nothing. REQUIRES: from, to > 0.
std::vector<int16_t> Resample(const std::vector<int16_t>& samples, int64_t from, int64_t to,
                              int64_t most);

}  // namespace distillery

// Sound files: WAV, and whatever else libsndfile reads (FLAC, Ogg, AIFF ...), told apart by their
// content, whatever they are called.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

// One channel of 16-bit samples.
struct Sound {
  // Samples per second.
  int64_t rate = 0;
  std::vector<int16_t> samples;
};

inline constexpr int64_t kMaxSoundFileBytes = int64_t{256} << 20;
inline constexpr int64_t kLowestRate = 1000;
inline constexpr int64_t kHighestRate = 384'000;

// Decodes the first `most_seconds` of a file; the rest may be left out. Several channels become one
// by their mean. What is not of 16 bits is rounded to them, halves upwards; floats stand for 32768
// times as much, and what is beyond 16 bits is clipped. WAV and FLAC give the same samples on every
// machine. Messages name `name`:
//   INVALID_ARGUMENT     no sound file, a kind that libsndfile does not read, a rate outside
//                        kLowestRate to kHighestRate, more than 16 channels, NaN or infinity
//   DATA_LOSS            damaged, truncated, or without samples
//   RESOURCE_EXHAUSTED   more than kMaxSoundFileBytes, or 2^26 samples
absl::StatusOr<Sound> DecodeSound(absl::string_view bytes, absl::string_view name,
                                  double most_seconds);

// True for names that end in one of kSoundEndings, in small or capital letters.
inline constexpr const char* kSoundEndings = ".wav, .flac, .ogg, .aif, .aiff or .au";
bool HasSoundExtension(absl::string_view file_name);

}  // namespace distillery

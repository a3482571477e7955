// Recordings as the numbers of samples: one rate, one length, raw or as spectrograms.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/data_options.h"
#include "common/data/log_mel.h"
#include "common/data/sample_spec.h"
#include "common/data/sound_file.h"

namespace distillery {

// Threads: immutable once made, safe for all.
class SoundSamples {
 public:
  // INVALID_ARGUMENT as LogMel::Create. REQUIRES: options.rate > 0, options.length > 0.
  static absl::StatusOr<SoundSamples> Create(const SoundOptions& options);

  // "audio" float32 [1, length], or "log_mel" float32 [1, bands, frames].
  const InputSpec& input() const { return input_; }
  // Decodes as much of a file as is needed. Errors as DecodeSound.
  absl::StatusOr<Sound> Decode(absl::string_view bytes, absl::string_view name) const;
  // Brings a sound to the rate and the length, and writes input().elements() numbers.
  void Write(const Sound& sound, float* output) const;

 private:
  explicit SoundSamples(const SoundOptions& options) : options_(options) {}

  SoundOptions options_;
  std::optional<LogMel> log_mel_;
  InputSpec input_;
};

}  // namespace distillery

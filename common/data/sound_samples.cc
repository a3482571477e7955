#include "common/data/sound_samples.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "common/base/status_macros.h"
#include "common/data/resample.h"

namespace distillery {
namespace {

// What a filter at the end of the needed part looks at beyond it, and more.
constexpr double kMoreSeconds = 0.1;

}  // namespace

absl::StatusOr<SoundSamples> SoundSamples::Create(const SoundOptions& options) {
  SoundSamples made(options);
  made.input_ = {"audio", ElementType::kFloat32, {1, options.length}, 0, 0};
  if (options.log_mel.has_value()) {
    DISTILLERY_ASSIGN_OR_RETURN(made.log_mel_,
                                LogMel::Create(*options.log_mel, options.rate, options.length));
    made.input_.name = "log_mel";
    made.input_.shape = {1, made.log_mel_->bands(), made.log_mel_->frames()};
  }
  return made;
}

absl::StatusOr<Sound> SoundSamples::Decode(absl::string_view bytes, absl::string_view name) const {
  // The middle of a recording is known when its end is.
  const double seconds =
      options_.centre ? std::numeric_limits<double>::infinity()
                      : static_cast<double>(options_.length) / static_cast<double>(options_.rate) +
                            kMoreSeconds;
  return DecodeSound(bytes, name, seconds);
}

void SoundSamples::Write(const Sound& sound, float* output) const {
  constexpr float kFullScale = 32768;
  const int64_t most = options_.centre ? std::numeric_limits<int64_t>::max() : options_.length;
  const std::vector<int16_t> samples = Resample(sound.samples, sound.rate, options_.rate, most);
  const auto size = static_cast<int64_t>(samples.size());
  const int64_t count = std::min(size, options_.length);
  const int64_t skipped = options_.centre ? (size - count) / 2 : 0;
  const int64_t silent = options_.centre ? (options_.length - count) / 2 : 0;
  std::vector<float> scratch;
  if (log_mel_.has_value()) scratch.resize(static_cast<size_t>(options_.length));
  float* const numbers = log_mel_.has_value() ? scratch.data() : output;
  std::fill(numbers, numbers + options_.length, 0.0F);
  for (int64_t i = 0; i < count; ++i) {
    numbers[silent + i] = samples[static_cast<size_t>(skipped + i)] / kFullScale;
  }
  if (log_mel_.has_value()) log_mel_->Compute(numbers, output);
}

}  // namespace distillery

// Any bytes as a sound file, as the options of recordings, and as the table of labelled files.
#include <cmath>
#include <vector>

#include "common/data/data_options.h"
#include "common/data/labelled_files.h"
#include "common/data/sound_samples.h"
#include "tests/fuzz/fuzz_main.h"

namespace distillery {
namespace {

void ReadSound(absl::string_view bytes) {
  SoundOptions options;
  options.rate = kLowestRate + TakeByte(&bytes) * 64;
  options.length = 64 + TakeByte(&bytes);
  options.centre = TakeByte(&bytes) % 2 == 1;
  if (TakeByte(&bytes) % 2 == 1) options.log_mel = LogMelOptions{4, 64, 32};
  const absl::StatusOr<SoundSamples> reader = SoundSamples::Create(options);
  Require(reader.ok());
  const absl::StatusOr<Sound> sound = reader->Decode(bytes, "sound");
  if (!sound.ok()) return Require(!sound.status().message().empty());
  Require(!sound->samples.empty() && sound->rate >= kLowestRate && sound->rate <= kHighestRate);
  std::vector<float> numbers(static_cast<size_t>(reader->input().elements()));
  reader->Write(*sound, numbers.data());
  for (const float number : numbers) Require(std::isfinite(number));
}

void TestOneInput(absl::string_view bytes) {
  const uint8_t which = TakeByte(&bytes) % 8;
  if (which == 0) {
    const auto options = ParseSoundOptions(std::string(bytes));
    if (!options.ok() || options->rate == 0 || options->length > 65536) return;
    (void)SoundSamples::Create(*options);
    return;
  }
  if (which == 1) {
    const auto files = ParseLabelledFiles(bytes);
    if (!files.ok()) return Require(!files.status().message().empty());
    for (const LabelledFile& file : files->files)
      Require(!file.path.empty() && !file.label.empty());
    return;
  }
  ReadSound(bytes);
}

}  // namespace
}  // namespace distillery

DISTILLERY_FUZZ_TARGET(distillery::TestOneInput)

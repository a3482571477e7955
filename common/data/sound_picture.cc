#include "common/data/sound_picture.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/data/log_mel.h"

namespace distillery {
namespace {

constexpr int64_t kFewestSamples = 64;
constexpr int64_t kWaveHeight = 48;
constexpr int64_t kMostColumns = 160;
constexpr uint8_t kWhite = 255;
// Natural logarithms between black and white.
constexpr float kRange = 12;
// A recording's rate is not in its sample. It only decides where the bands of the picture lie.
constexpr int64_t kDrawnRate = 16000;

// Of the sound's picture: about kMostColumns frames, whatever its length.
LogMelOptions DrawnOptions(int64_t samples) {
  LogMelOptions options{40, 512, 0};
  if (samples < options.window) options = {8, 64, 0};
  while ((samples - options.window) / kMostColumns > options.window && options.window < 16384) {
    options.window *= 2;
  }
  options.hop = std::clamp<int64_t>((samples - options.window) / kMostColumns, 1, options.window);
  return options;
}

// [bands, frames] from below.
void DrawSpectrogram(const float* values, int64_t bands, int64_t frames, int64_t columns,
                     uint8_t* output) {
  const float loudest = *std::max_element(values, values + bands * frames);
  for (int64_t y = 0; y < bands; ++y) {
    const float* const band = values + (bands - 1 - y) * frames;
    for (int64_t x = 0; x < columns; ++x) {
      const float below = std::clamp((loudest - band[x * frames / columns]) / kRange, 0.0F, 1.0F);
      output[y * columns + x] = static_cast<uint8_t>(std::lround(below * kWhite));
    }
  }
}

void DrawWave(const float* sound, int64_t samples, int64_t columns, uint8_t* output) {
  float largest = 0;
  for (int64_t i = 0; i < samples; ++i) largest = std::max(largest, std::abs(sound[i]));
  if (largest == 0) largest = 1;
  const auto place = [&](float value) {
    const float down = (1 - value / largest) / 2 * static_cast<float>(kWaveHeight - 1);
    return int64_t{std::lround(down)};
  };
  std::fill(output, output + kWaveHeight * columns, kWhite);
  for (int64_t x = 0; x < columns; ++x) {
    const int64_t first = x * samples / columns;
    const int64_t end = std::max(first + 1, (x + 1) * samples / columns);
    const auto [low, high] = std::minmax_element(sound + first, sound + end);
    for (int64_t y = place(*high); y <= place(*low); ++y) output[y * columns + x] = 0;
  }
}

}  // namespace

bool IsSound(const SampleSpec& spec) {
  if (spec.inputs.size() != 1 || spec.inputs[0].type != ElementType::kFloat32) return false;
  const std::vector<int64_t>& shape = spec.inputs[0].shape;
  if (shape.size() < 2 || shape[0] != 1) return false;
  return shape.size() == 3 || (shape.size() == 2 && shape[1] >= kFewestSamples);
}

ImageShape SoundPictureShape(const SampleSpec& spec) {
  const std::vector<int64_t>& shape = spec.inputs[0].shape;
  if (shape.size() == 3) return {1, shape[1], shape[2]};
  return {1, kWaveHeight + DrawnOptions(shape[1]).bands, std::min(shape[1], kMostColumns)};
}

Image DrawSound(const SampleSpec& spec, const float* sample) {
  const std::vector<int64_t>& sizes = spec.inputs[0].shape;
  Image picture;
  picture.shape = SoundPictureShape(spec);
  picture.pixels.resize(static_cast<size_t>(picture.shape.size()));
  if (sizes.size() == 3) {
    DrawSpectrogram(sample, sizes[1], sizes[2], sizes[2], picture.pixels.data());
    return picture;
  }
  const int64_t columns = picture.shape.width;
  DrawWave(sample, sizes[1], columns, picture.pixels.data());
  const absl::StatusOr<LogMel> log_mel =
      LogMel::Create(DrawnOptions(sizes[1]), kDrawnRate, sizes[1]);
  if (!log_mel.ok()) return picture;  // cannot be: the options are made to fit
  std::vector<float> values(static_cast<size_t>(log_mel->bands() * log_mel->frames()));
  log_mel->Compute(sample, values.data());
  DrawSpectrogram(values.data(), log_mel->bands(), log_mel->frames(), columns,
                  &picture.pixels[static_cast<size_t>(kWaveHeight * columns)]);
  return picture;
}

}  // namespace distillery

#include "common/data/sound_file.h"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/data/file_kind.h"

namespace distillery {
namespace {

constexpr int kMostChannels = 16;
constexpr int64_t kMostFrames = int64_t{1} << 26;
// Frames that are read in one go.
constexpr int64_t kBlockFrames = 4096;
constexpr double kFullScale = 32768;

// The bytes as a file for libsndfile, whose callbacks get a pointer to it.
struct BytesFile {
  absl::string_view bytes;
  sf_count_t at = 0;
};

sf_count_t Length(void* file) {
  return static_cast<sf_count_t>(static_cast<BytesFile*>(file)->bytes.size());
}

sf_count_t Seek(sf_count_t offset, int whence, void* user) {
  auto* const file = static_cast<BytesFile*>(user);
  const sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file->at : Length(user);
  file->at = std::clamp<sf_count_t>(from + offset, 0, Length(user));
  return file->at;
}

sf_count_t Read(void* output, sf_count_t count, void* user) {
  auto* const file = static_cast<BytesFile*>(user);
  const sf_count_t taken = std::clamp<sf_count_t>(Length(user) - file->at, 0, count);
  if (taken > 0) {
    std::memcpy(output, file->bytes.data() + file->at, static_cast<size_t>(taken));
  }
  file->at += taken;
  return taken;
}

sf_count_t Tell(void* user) { return static_cast<BytesFile*>(user)->at; }

uint32_t Number(absl::string_view bytes, size_t at) {
  uint32_t number = 0;
  for (size_t i = 0; i < 4; ++i) {
    number |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  }
  return number;
}

// DATA_LOSS for a WAV whose data are fewer than its header says, which libsndfile takes for
// complete. A size of all ones, or of 0 at the end of the file, is what a program writes that does
// not know it: the data go on to the end then.
absl::Status CheckWavIsWhole(absl::string_view bytes, absl::string_view name) {
  constexpr size_t kHeader = 12;
  constexpr size_t kChunkHeader = 8;
  constexpr uint32_t kUnknown = 0xFFFFFFFF;
  if (bytes.size() < kHeader || bytes.substr(0, 4) != "RIFF" || bytes.substr(8, 4) != "WAVE") {
    return absl::OkStatus();
  }
  for (size_t at = kHeader; at + kChunkHeader <= bytes.size();) {
    const uint32_t size = Number(bytes, at + 4);
    const size_t there = bytes.size() - at - kChunkHeader;
    const bool data = bytes.substr(at, 4) == "data";
    if (size > there && !(data && size == kUnknown)) {
      return absl::DataLossError(absl::StrCat(name, " is cut short: its part \"",
                                              PlainText(std::string(bytes.substr(at, 4))),
                                              "\" has ", there, " of ", size, " bytes"));
    }
    if (data) return absl::OkStatus();
    at += kChunkHeader + size + size % 2;
  }
  return absl::DataLossError(absl::StrCat(name, " is cut short: it ends before its sound"));
}

// The mean of a frame's channels, as a number of 16 bits.
absl::StatusOr<int16_t> ToSample(const float* frame, int channels, absl::string_view name) {
  double sum = 0;
  for (int c = 0; c < channels; ++c) sum += frame[c];
  if (!std::isfinite(sum)) {
    return absl::InvalidArgumentError(absl::StrCat(name, " has a sample that is NaN or infinite"));
  }
  const double scaled = std::floor(sum / channels * kFullScale + 0.5);
  return static_cast<int16_t>(std::clamp(scaled, -kFullScale, kFullScale - 1));
}

absl::Status CheckInfo(const SF_INFO& info, absl::string_view name) {
  if (info.samplerate < kLowestRate || info.samplerate > kHighestRate) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is at ", info.samplerate,
                                                   " Hz, what is read is ", kLowestRate, " to ",
                                                   kHighestRate));
  }
  if (info.channels < 1 || info.channels > kMostChannels) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, " has ", info.channels, " channels, what is read is 1 to ", kMostChannels));
  }
  if (info.frames > kMostFrames) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, " has ", info.frames, " samples, the limit is ", kMostFrames));
  }
  if (info.frames < 1) return absl::DataLossError(absl::StrCat(name, " has no samples"));
  return absl::OkStatus();
}

absl::Status NotSound(absl::string_view bytes, absl::string_view name, const std::string& why) {
  const absl::string_view kind = FileKind(bytes);
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is no sound file that can be read (", kSoundEndings, "): ",
                   kind.empty() ? absl::StrCat("libsndfile says \"", PlainText(why), "\"")
                                : absl::StrCat("it is ", kind)));
}

}  // namespace

absl::StatusOr<Sound> DecodeSound(absl::string_view bytes, absl::string_view name,
                                  double most_seconds) {
  if (bytes.empty()) return absl::DataLossError(absl::StrCat(name, " is empty"));
  if (static_cast<int64_t>(bytes.size()) > kMaxSoundFileBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, " has ", bytes.size(), " bytes, the limit is ", kMaxSoundFileBytes));
  }
  DISTILLERY_RETURN_IF_ERROR(CheckWavIsWhole(bytes, name));
  BytesFile file{bytes};
  SF_VIRTUAL_IO io{&Length, &Seek, &Read, nullptr, &Tell};
  SF_INFO info{};
  const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> sound(
      sf_open_virtual(&io, SFM_READ, &info, &file), &sf_close);
  if (sound == nullptr) return NotSound(bytes, name, sf_strerror(nullptr));
  DISTILLERY_RETURN_IF_ERROR(CheckInfo(info, name));
  const double wanted = std::ceil(most_seconds * info.samplerate);
  const int64_t frames = wanted < static_cast<double>(info.frames)
                             ? std::max<int64_t>(1, static_cast<int64_t>(wanted))
                             : info.frames;
  Sound decoded;
  decoded.rate = info.samplerate;
  std::vector<float> block(static_cast<size_t>(kBlockFrames * info.channels));
  while (static_cast<int64_t>(decoded.samples.size()) < frames) {
    const int64_t left = frames - static_cast<int64_t>(decoded.samples.size());
    const sf_count_t got = sf_readf_float(sound.get(), block.data(), std::min(left, kBlockFrames));
    if (got <= 0) {
      return absl::DataLossError(absl::StrCat(name, " is damaged or cut short: it has ",
                                              decoded.samples.size(), " of ", info.frames,
                                              " samples"));
    }
    for (sf_count_t i = 0; i < got; ++i) {
      DISTILLERY_ASSIGN_OR_RETURN(
          decoded.samples.emplace_back(),
          ToSample(&block[static_cast<size_t>(i * info.channels)], info.channels, name));
    }
  }
  return decoded;
}

bool HasSoundExtension(absl::string_view file_name) {
  for (const char* const ending : {".wav", ".flac", ".ogg", ".aif", ".aiff", ".au"}) {
    if (absl::EndsWithIgnoreCase(file_name, ending)) return true;
  }
  return false;
}

}  // namespace distillery

// WAV files for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace distillery {

inline std::string LittleEndian(uint64_t number, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text.push_back(static_cast<char>(number >> (8 * i)));
  return text;
}

// `format`: 1 for whole numbers, 3 for floats; `data`: frames as they are stored.
inline std::string WavFile(int format, int channels, int rate, int bits, const std::string& data) {
  const int frame = channels * bits / 8;
  const std::string parts =
      "WAVEfmt " + LittleEndian(16, 4) + LittleEndian(static_cast<uint64_t>(format), 2) +
      LittleEndian(static_cast<uint64_t>(channels), 2) +
      LittleEndian(static_cast<uint64_t>(rate), 4) +
      LittleEndian(static_cast<uint64_t>(rate * frame), 4) +
      LittleEndian(static_cast<uint64_t>(frame), 2) + LittleEndian(static_cast<uint64_t>(bits), 2) +
      "data" + LittleEndian(data.size(), 4) + data;
  return "RIFF" + LittleEndian(parts.size(), 4) + parts;
}

// One channel of 16 bits.
inline std::string WavBytes(const std::vector<int>& samples, int rate = 8000) {
  std::string data;
  for (const int sample : samples) {
    data += LittleEndian(static_cast<uint64_t>(static_cast<int64_t>(sample)), 2);
  }
  return WavFile(1, 1, rate, 16, data);
}

inline std::string FloatBytes(const std::vector<float>& numbers) {
  std::string bytes(numbers.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

}  // namespace distillery

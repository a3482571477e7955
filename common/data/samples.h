// Stored samples of a data set: images as bytes, labels, and where its splits lie.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace distillery {

// Sizes of one image, stored [channels, height, width].
struct ImageShape {
  int64_t channels = 1;
  int64_t height = 0;
  int64_t width = 0;

  int64_t size() const { return channels * height * width; }
  std::vector<int64_t> ToVector() const { return {channels, height, width}; }
  friend bool operator==(const ImageShape& a, const ImageShape& b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
  }
};

// All samples of one data set in stored order. Immutable once read, so safe for all threads.
struct StoredSamples {
  std::string name;
  ImageShape shape;
  // The stored value that stands for 1.0: pixels become value / pixel_max.
  int pixel_max = 255;
  std::vector<std::string> class_names;
  // size() * shape.size() bytes.
  std::vector<uint8_t> pixels;
  // Class of each sample, 0 to class_names.size() - 1.
  std::vector<int32_t> labels;
  // Stored indexes of the two given splits.
  std::vector<int64_t> train;
  std::vector<int64_t> test;

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  const uint8_t* Pixels(int64_t index) const { return &pixels[index * shape.size()]; }
};

// The most bytes of pixels that one data set may hold: it is kept in memory.
inline constexpr int64_t kMaxStoredBytes = int64_t{4} << 30;

// The part of CheckSamples that is not about splits: INVALID_ARGUMENT for class names, DATA_LOSS for
// labels and pixels.
absl::Status CheckContent(const StoredSamples& samples);

// Whether what a format gave is what StoredSamples promises. INVALID_ARGUMENT: an empty split, or
// class names as CheckClassNames; DATA_LOSS: a label that is no class, or pixels, labels and splits
// that do not fit together.
absl::Status CheckSamples(const StoredSamples& samples);

}  // namespace distillery

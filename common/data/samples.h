// Stored samples of a data set: images as bytes, labels, and where its splits lie.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/data/index_list.h"
#include "common/data/label_list.h"
#include "common/data/left_out.h"
#include "common/data/record_file.h"

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

// The files that samples were made of.
struct SampleSources {
  std::string folder;
  // All that pixels and labels depend on, as they were when opened.
  std::vector<FileStamp> files;
};

// All samples of one data set in stored order. Immutable once made, so safe for all threads.
struct StoredSamples {
  std::string name;
  ImageShape shape;
  // The stored value that stands for 1.0: pixels become value / pixel_max.
  int pixel_max = 255;
  std::vector<std::string> class_names;
  // The pixels, if they are held in memory: size() * shape.size() bytes.
  std::vector<uint8_t> pixels;
  // Else the files that hold them, of the samples one after the other.
  std::vector<std::shared_ptr<const RecordFile>> images;
  // Class of each sample, 0 to class_names.size() - 1.
  LabelList labels;
  // Stored indexes of the two given splits.
  IndexList train;
  IndexList test;
  // Where samples with `images` lie, if those are files that stay.
  SampleSources sources;
  // What lies in the folder and is in no sample.
  std::vector<LeftOut> left_out;

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  bool in_memory() const { return images.empty(); }
  // REQUIRES: in_memory().
  const uint8_t* Pixels(int64_t index) const { return &pixels[index * shape.size()]; }
};

// The most bytes of pixels that may be held in memory: of images that lie compressed on disk.
inline constexpr int64_t kMaxStoredBytes = int64_t{4} << 30;
// The most samples of a data set: their numbers travel as 32 bits with a sign.
inline constexpr int64_t kMaxSamples = INT32_MAX;

// Reads images to output [.., shape.size()], each to its place; in the order of the files, whatever
// that of the wishes, which it sorts. Errors as RecordFile::Read.
absl::Status ReadImages(const StoredSamples& samples, std::vector<ImageWish>* wishes,
                        uint8_t* output);
// The same for one.
absl::Status ReadImage(const StoredSamples& samples, int64_t index, uint8_t* output);

// The names of classes of which there is no training sample: a model's outputs for them never
// learn.
std::vector<std::string> ClassesWithoutTraining(const StoredSamples& samples);

// The part of CheckSamples that is not about splits: INVALID_ARGUMENT for class names, DATA_LOSS
// for labels and pixels, RESOURCE_EXHAUSTED for more than kMaxSamples.
absl::Status CheckContent(const StoredSamples& samples);

// Whether what a format gave is what StoredSamples promises. INVALID_ARGUMENT: an empty split, or
// class names as CheckClassNames; DATA_LOSS: a label that is no class, or pixels, labels and splits
// that do not fit together; RESOURCE_EXHAUSTED: more than kMaxSamples.
absl::Status CheckSamples(const StoredSamples& samples);

}  // namespace distillery

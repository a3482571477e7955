// One image as a model's input: a sample of a data set, or an image file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

struct Sample {
  // "digits/test 12", or the file's name.
  std::string name;
  ImageShape shape;
  // [channels, height, width], 0..1.
  std::vector<float> pixels;
  // Known only for samples of data sets; class_names[label] is then its name.
  std::optional<int64_t> label;
  std::vector<std::string> class_names;
};

// The index-th sample of "NAME/SPLIT" in its order. NOT_FOUND for an unknown data set, split or
// index.
absl::StatusOr<Sample> ReadDatasetSample(const std::string& dataset, const std::string& split,
                                         const std::string& data_dir, int64_t index);

// Several of them.
absl::StatusOr<std::vector<Sample>> ReadDatasetSamples(const std::string& dataset,
                                                       const std::string& split,
                                                       const std::string& data_dir,
                                                       const std::vector<int64_t>& indexes);

// A PNG, JPEG or PGM file, resized to `shape` if it has another size, and inverted (dark on light
// to light on dark) if asked for. DATA_LOSS if it is corrupt, naming the file.
absl::StatusOr<Sample> ReadImageSample(const std::string& path, const ImageShape& shape,
                                       bool invert);

}  // namespace distillery

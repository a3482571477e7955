// Data sets of image files by class: FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png (or .jpg,
// .jpeg, .pgm, .ppm).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// What FOLDER/dataset.json may say. 0: as the first image has it.
struct ImageFolderOptions {
  // 1 (grey) or 3 (red, green, blue).
  int64_t channels = 0;
  // Every image is resized to these; both or neither.
  int64_t height = 0;
  int64_t width = 0;
  // Leave damaged images out, with a warning in the log.
  bool skip_corrupt = false;
};

// INVALID_ARGUMENT for text that is no JSON object of the four keys, or values that no image has.
absl::StatusOr<ImageFolderOptions> ParseImageFolderOptions(const std::string& text);

// Whether the folder holds a folder `train`.
bool HoldsImageFolder(const std::string& folder);

// Classes are the sorted names of train's folders; the samples of a split lie class by class in the
// order of their files' names, so every machine has the same order. Names that start with '.', and
// files with another extension, do not count. Files are decoded on all cores.
//   INVALID_ARGUMENT     a folder, class or split without images; fewer than 2 classes; a class of
//                        test that train has not; an image of another size, or in colour where the
//                        first is grey, that dataset.json does not settle
//   DATA_LOSS            a damaged image, by its name in the folder
//   RESOURCE_EXHAUSTED   more than kMaxStoredBytes of pixels, or an image as DecodeImage
absl::StatusOr<StoredSamples> ReadImageFolder(const std::string& name, const std::string& folder);

}  // namespace distillery

// Data sets of image files by class: FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png (or
// another of kImageEndings).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/image.h"
#include "common/data/samples.h"

namespace distillery {

// What FOLDER/dataset.json may say. 0: as the first image has it.
struct ImageFolderOptions {
  // 1 (grey) or 3 (red, green, blue).
  int64_t channels = 0;
  // Every image is resized to these; both or neither.
  int64_t height = 0;
  int64_t width = 0;
  // Leave out files that cannot be read as images, and list them in `left_out`.
  bool skip_corrupt = false;
  // In the file: "black", "white" or "drop".
  AlphaRule alpha = AlphaRule::kBlack;
};

// INVALID_ARGUMENT for text that is no JSON object of the five keys, or values that no image has.
absl::StatusOr<ImageFolderOptions> ParseImageFolderOptions(const std::string& text);

// Whether the folder holds a folder `train`, and no tar archives of samples (HoldsTar).
bool HoldsImageFolder(const std::string& folder);

// Classes are the sorted names of train's folders; the samples of a split lie class by class in the
// order of their files' names, so every machine has the same order. Names that start with '.' do
// not count; files with another ending, folders within classes and all else are listed in
// `left_out`. First the headers of all files are read; then the files are decoded on all cores, so
// that only a bounded number of bytes is in memory at a time.
//   INVALID_ARGUMENT     a folder, class or split without images; fewer than 2 classes; a class of
//                        test that train has not; images of another size, or in colour where the
//                        first is grey, that dataset.json does not settle
//   RESOURCE_EXHAUSTED   more than kMaxStoredBytes of pixels: known before any is decoded
//   the first file's     files that cannot be read as images (damaged, too large, of another
//                        format, a pipe ...), unless skip_corrupt; the message names and counts
//                        them
//   UNAVAILABLE          another reason of the system
absl::StatusOr<StoredSamples> ReadImageFolder(const std::string& name, const std::string& folder);

}  // namespace distillery

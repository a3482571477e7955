// Data sets of image files by class: FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png, or
// another layout of class_files.h, with any of kImageEndings.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/class_files.h"
#include "common/data/image.h"
#include "common/data/image_file.h"
#include "common/data/samples.h"

namespace distillery {

// What FOLDER/dataset.json may say. 0: as the first image has it.
struct ImageFolderOptions {
  // 1 (grey) or 3 (red, green, blue).
  int64_t channels = 0;
  // Every image is resized to these; both or neither.
  int64_t height = 0;
  int64_t width = 0;
  // In the file: "resize" is "squash" (each side on its own) or "crop" (ResizeAndCrop).
  bool crop = false;
  // Leave out files that cannot be read as images, and list them in `left_out`.
  bool skip_corrupt = false;
  // In the file: "black", "white" or "drop".
  AlphaRule alpha = AlphaRule::kBlack;
  // The part of the images that is the test, above 0 to below 1; 0: it is given.
  double test_fraction = 0;
};

// INVALID_ARGUMENT for text that is no JSON object of these keys, or values that no image has.
absl::StatusOr<ImageFolderOptions> ParseImageFolderOptions(const std::string& text);

// What class_files.h needs to know of them.
inline constexpr SampleFileKind kImageFiles{"images", kImageEndings, &HasImageExtension};

// A file's bytes as the picture that its sample is, but for a grey one among those in colour.
// Errors as DecodeImage, with `name` for the file, and as Resize.
absl::StatusOr<Image> DecodeSample(absl::string_view bytes, const ImageFolderOptions& options,
                                   const std::string& name);

// Samples lie in the order of class_files.h, which also says which folders are read. First the
// headers of all files are read; then the files are decoded on all cores, so that only a bounded
// number of bytes is in memory at a time. Of many files what was decoded is kept (kept_pictures.h)
// and read on demand.
//   INVALID_ARGUMENT     as FindClassFiles; images of another size, or in colour where the
//                        first is grey, that dataset.json does not settle
//   RESOURCE_EXHAUSTED   more than kMaxStoredBytes of pixels: known before any is decoded
//   the first file's     files that cannot be read as images (damaged, too large, of another
//                        format, a pipe ...), unless skip_corrupt; the message names and counts
//                        them
//   UNAVAILABLE          another reason of the system
absl::StatusOr<StoredSamples> ReadImageFolder(const std::string& name, const std::string& folder);

}  // namespace distillery

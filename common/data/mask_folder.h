// Pictures with a class for each pixel: FOLDER/train/images/NAME.* and FOLDER/train/masks/NAME.png,
// and the same in test, or else in val.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// Whether the folder holds train/images and train/masks.
bool HoldsMasks(const std::string& folder);

// Samples lie in the order of the pictures' names. A mask is a PNG file of one value for each
// pixel, grey or an index of its palette (DecodePngValues), of the size of its picture: the value
// is the class, and 255 stands for none. dataset.json is as of folders of images, but for
// "test_fraction" and "resize": "crop"; of a mask whose picture is resized each new pixel has the
// value of the nearest old one. classes.txt names the classes; else they are numbers up to the
// largest value.
//   INVALID_ARGUMENT     a split without pictures; a picture without a mask; a value that is no
//                        class of classes.txt; errors of PictureForm; what is wrong with a file
//   the first file's     files that cannot be read, unless skip_corrupt, as in image_folder.h
//   RESOURCE_EXHAUSTED   more than kMaxStoredBytes: known before any is decoded
absl::StatusOr<StoredSamples> ReadMaskFolder(const std::string& name, const std::string& folder);

}  // namespace distillery

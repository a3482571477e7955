// Data sets saved from NumPy: train_images.npy, train_labels.npy, test_images.npy, test_labels.npy.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// Whether the folder holds train_images.npy.
bool HoldsNpy(const std::string& folder);

// Images are |u1 of shape [samples, height, width] or [samples, channels, height, width] with 1 or
// 3 channels, and are read on demand; labels are whole numbers of shape [samples]. Classes are the
// lines of classes.txt, or 0 to the largest label. NOT_FOUND names the missing file; errors of
// ParseNpy; INVALID_ARGUMENT for other shapes and for a label that is no class, with its index;
// DATA_LOSS for images and labels of different number.
absl::StatusOr<StoredSamples> ReadNpyFolder(const std::string& name, const std::string& folder);

}  // namespace distillery

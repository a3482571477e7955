// Data sets saved from NumPy: train_NAME.npy, train_labels.npy, test_NAME.npy, test_labels.npy; or
// train.npz and test.npz with the same names.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// Whether the folder holds train_images.npy or another input.
bool HoldsNpy(const std::string& folder);
// See array_samples.h for inputs, masks and labels. Images are read on demand, and are the only
// input where they are there. Classes are the lines of classes.txt, or 0 to the largest label.
// NOT_FOUND names the missing file; errors of ParseNpyHeader and ReadArrays.
absl::StatusOr<StoredSamples> ReadNpyFolder(const std::string& name, const std::string& folder);

// Whether the folder holds train.npz.
bool HoldsNpz(const std::string& folder);
// The same; arrays are named in the archive, without train_ and .npy, and held in memory.
absl::StatusOr<StoredSamples> ReadNpzFolder(const std::string& name, const std::string& folder);

}  // namespace distillery

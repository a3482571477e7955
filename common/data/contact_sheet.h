// Pictures of a data set side by side, for people to look at.
#pragma once

#include "absl/status/statusor.h"
#include "common/data/augmentation.h"
#include "common/data/dataset.h"
#include "common/data/image.h"

namespace distillery {

struct ContactSheetOptions {
  // Samples beside each other, and rows of them for each class.
  int64_t columns = 10;
  int64_t rows_per_class = 1;
  // Classes from the first on; 0: all.
  int64_t max_classes = 0;
  // Samples are repeated pixel by pixel until their longer side has at least so many.
  int64_t min_sample_side = 32;
  // Not the identity: each class shows its first sample alone, as it is stored and then in the
  // views 0, 1 ... of this seed.
  Augmentation augmentation;
  int64_t seed = 1;
};

// Class by class from above, the first samples of each in the data set's order, from left to right,
// with lines of one pixel between them; grey or colour as the data set is. Where a class has fewer
// samples the sheet has the lines' shade, 128.
//
// Pictures that are not in classes come in the data set's order, at most kMostSheetRows rows of
// them; where each pixel has a class, that is drawn over the picture (mask_picture.h).
//
// Recordings and spectrograms are drawn as sound_picture.h says.
//
// INVALID_ARGUMENT as CheckView; for an augmentation where samples are not in classes; for options
// below 1 (max_classes: below 0), a data set that is neither pictures
// of 1 or 3 channels nor sound, or a sheet larger than CheckImageSize allows.
inline constexpr int64_t kMostSheetRows = 8;
absl::StatusOr<Image> MakeContactSheet(const Dataset& dataset, const ContactSheetOptions& options);

}  // namespace distillery

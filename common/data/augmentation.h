// Augmentation as a pure function of (seed, stored index, view), so that teacher and student see
// the same picture (Beyer et al., "Knowledge distillation: a good teacher is patient and
// consistent", CVPR 2022).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/augmentation_parts.h"
#include "common/data/samples.h"

namespace distillery {

// Parts applied one after the other: "crop:4+flip" is not "flip+crop:4". Each part draws from a
// random stream of its own name, so that adding one leaves what the others do as it was.
//
// Threads: immutable once parsed, safe for all.
class Augmentation {
 public:
  // The identity.
  Augmentation() = default;

  // "" or "none", the identity; or parts joined by '+', at most 4 and each name at most once:
  //   jitter:N  shifts by up to N pixels, 1 to 8, in each direction; 0 is shifted in
  //   crop:N    pads N pixels, 1 to 32, of 0 on each side and cuts out a place of the image's size
  //   flip      mirrors left and right with probability 1/2
  // and those of kKnownParts in augmentation_parts.cc; docs/augmentation.md says what each does.
  // INVALID_ARGUMENT otherwise, naming the part.
  static absl::StatusOr<Augmentation> Parse(const std::string& text);
  // The one text of this augmentation, fit for a key: "none", or as "crop:4+flip".
  std::string ToString() const;

  // Whether every view is the stored image: true for "none" alone.
  bool identity() const { return parts_.empty(); }

  // INVALID_ARGUMENT, naming the part and the data set, if a part fits none of the inputs, or moves
  // what labels of positions belong to.
  absl::Status CheckSuits(const SampleSpec& spec, const std::string& dataset) const;

  // Writes view `view` of the image [channels, height, width], of values 0 to `pixel_max`, to
  // `output`. Parts that are not for pictures do nothing. REQUIRES: image and output do not
  // overlap.
  void Apply(const ImageShape& shape, const uint8_t* image, int64_t seed, int64_t stored_index,
             int64_t view, uint8_t* output, int pixel_max = 255) const;

  // The same for the stored bytes of any input; a part that does not suit it does nothing.
  void ApplyTo(const InputSpec& input, const uint8_t* stored, int64_t seed, int64_t stored_index,
               int64_t view, uint8_t* output) const;

 private:
  std::vector<AugmentationPart> parts_;
};

// Which picture of each sample: an augmentation with its seed and view.
struct View {
  Augmentation augmentation;
  int64_t seed = 0;
  int64_t view = 0;
};

}  // namespace distillery

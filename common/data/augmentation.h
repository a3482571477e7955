// Augmentation as a pure function of (seed, stored index, view), so that teacher and student see the
// same picture (Beyer et al., "Knowledge distillation: a good teacher is patient and consistent",
// CVPR 2022).
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

class Augmentation {
 public:
  // "none", "" (none) or "jitter:N", N pixels 1..8. INVALID_ARGUMENT otherwise.
  static absl::StatusOr<Augmentation> Parse(const std::string& text);

  bool identity() const { return jitter_ == 0; }
  // Writes view `view` of the image [channels, height, width] to `output`; pixels shifted in are 0.
  void Apply(const ImageShape& shape, const uint8_t* image, int64_t seed, int64_t stored_index,
             int64_t view, uint8_t* output) const;

 private:
  int jitter_ = 0;
};

// Which picture of each sample: an augmentation with its seed and view.
struct View {
  Augmentation augmentation;
  int64_t seed = 0;
  int64_t view = 0;
};

}  // namespace distillery

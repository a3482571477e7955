// One picture input of a data set's records as a model sees it: through a view, and in the size
// that the model takes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/augmentation.h"
#include "common/data/image_resize.h"
#include "common/data/sample_spec.h"

namespace distillery {

// The augmentation is applied in the stored size, and what it gives is then shrunk, so that models
// of unlike sizes see the same.
//
//   DISTILLERY_ASSIGN_OR_RETURN(PictureLens lens, PictureLens::Create(stored, taken, view));
//   const uint8_t* pixels = lens.See(bytes, dataset.StoredIndex(row));
//
// Threads: one.
class PictureLens {
 public:
  // `view` must outlive this. INVALID_ARGUMENT if the picture taken has other channels than the
  // stored one, or is larger. REQUIRES: stored.is_picture().
  static absl::StatusOr<PictureLens> Create(const InputSpec& stored, const InputSpec& taken,
                                            const View& view);

  // Bytes of what See gives.
  int64_t size() const { return size_; }
  // `stored` itself, if nothing is changed; else bytes that are there until the next call.
  const uint8_t* See(const uint8_t* stored, int64_t stored_index);

 private:
  PictureLens(const ImageShape& shape, const View& view) : shape_(shape), view_(&view) {}

  ImageShape shape_;
  const View* view_;
  int64_t size_ = 0;
  // Empty where the view is the identity.
  std::vector<uint8_t> augmented_;
  // None where sizes are equal.
  std::optional<Resizer> resizer_;
  std::vector<uint8_t> shrunk_;
};

}  // namespace distillery

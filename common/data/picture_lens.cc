#include "common/data/picture_lens.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {

absl::StatusOr<PictureLens> PictureLens::Create(const InputSpec& stored, const InputSpec& taken) {
  const ImageShape from{stored.shape[0], stored.shape[1], stored.shape[2]};
  PictureLens lens(taken.elements());
  if (taken.shape == stored.shape) return lens;
  if (!taken.is_picture() || taken.shape[0] != from.channels || taken.shape[1] > from.height ||
      taken.shape[2] > from.width) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the model takes ", taken.ToString(), ", which cannot be made of ", stored.ToString()));
  }
  DISTILLERY_ASSIGN_OR_RETURN(lens.resizer_, Resizer::Create(from, taken.shape[1], taken.shape[2]));
  lens.shrunk_.resize(static_cast<size_t>(lens.size_));
  return lens;
}

const uint8_t* PictureLens::See(const uint8_t* pixels) {
  if (!resizer_.has_value()) return pixels;
  resizer_->Apply(pixels, shrunk_.data());
  return shrunk_.data();
}

}  // namespace distillery

#include "teacher_service/inference/query_pixels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/soft_targets/finite.h"

namespace distillery {
namespace {

// At the speed of memory. As unsigned integers, floats of 0 to 1 are those up to the bits of 1:
// below 0, above 1, infinity and NaN all lie beyond. -0 does too, so that a look at each follows.
bool AllSurelyInRange(const float* pixels, int64_t count) {
  constexpr uint32_t kOne = 0x3F800000;
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, pixels + i, sizeof(bits));
    largest = std::max(largest, bits);
  }
  return largest <= kOne;
}

}  // namespace

absl::Status CheckPixelMax(double pixel_max) {
  const auto rounded = static_cast<float>(pixel_max);
  if (std::isfinite(rounded) && rounded > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("pixel_max must be finite and > 0, got ", pixel_max));
}

void DividePixels(double pixel_max, int64_t count, float* pixels) {
  const auto scale = static_cast<float>(pixel_max);
  if (scale == 1) return;
  for (int64_t i = 0; i < count; ++i) pixels[i] /= scale;
}

absl::Status CheckPixels(const float* pixels, int64_t rows, const ImageShape& shape,
                         bool any_finite, absl::string_view name) {
  const int64_t size = shape.size();
  const int64_t count = rows * size;
  if (any_finite ? AllFinite(pixels, count) : AllSurelyInRange(pixels, count)) {
    return absl::OkStatus();
  }
  const float* const bad = std::find_if(pixels, pixels + count, [=](float pixel) {
    return !std::isfinite(pixel) || (!any_finite && (pixel < 0 || pixel > 1));
  });
  if (bad == pixels + count) return absl::OkStatus();
  const int64_t at = bad - pixels;
  const int64_t in_row = at % size;
  const int64_t plane = shape.height * shape.width;
  const std::string where =
      absl::StrCat(name, ": the pixel at row ", at / size, ", channel ", in_row / plane, ", y ",
                   in_row % plane / shape.width, ", x ", in_row % shape.width, " is ", *bad);
  if (!std::isfinite(*bad)) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": pixels must be finite"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      where,
      ": pixels must be 0 to 1, before the model card's mean and deviation, which the teacher "
      "applies. If another value stands for 1, such as 255, name it by pixel_max; to have "
      "values beyond taken as they are, set allow_out_of_range"));
}

}  // namespace distillery

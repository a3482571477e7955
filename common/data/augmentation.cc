#include "common/data/augmentation.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/philox.h"

namespace distillery {

absl::StatusOr<Augmentation> Augmentation::Parse(const std::string& text) {
  constexpr int kMaxJitter = 8;
  Augmentation result;
  if (text.empty() || text == "none") return result;
  if (absl::StartsWith(text, "jitter:")) {
    if (absl::SimpleAtoi(text.substr(7), &result.jitter_) && result.jitter_ >= 1 &&
        result.jitter_ <= kMaxJitter) {
      return result;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("augmentation jitter:N needs N pixels, 1 to ", kMaxJitter));
  }
  return absl::InvalidArgumentError(UnknownName("augmentation", text, {"none", "jitter:N"}));
}

void Augmentation::Apply(const ImageShape& shape, const uint8_t* image, int64_t seed,
                         int64_t stored_index, int64_t view, uint8_t* output) const {
  const auto bytes = static_cast<size_t>(shape.size());
  if (jitter_ == 0) {
    std::memcpy(output, image, bytes);
    return;
  }
  RandomStream random(seed, "jitter", static_cast<uint64_t>(stored_index),
                      static_cast<uint64_t>(view));
  const auto span = 2 * static_cast<uint64_t>(jitter_) + 1;
  const int64_t down = static_cast<int64_t>(random.Below(span)) - jitter_;
  const int64_t right = static_cast<int64_t>(random.Below(span)) - jitter_;
  std::memset(output, 0, bytes);
  const int64_t first = std::max<int64_t>(0, right);
  const int64_t last = std::min(shape.width, shape.width + right);
  if (first >= last) return;
  for (int64_t channel = 0; channel < shape.channels; ++channel) {
    for (int64_t y = 0; y < shape.height; ++y) {
      const int64_t from = y - down;
      if (from < 0 || from >= shape.height) continue;
      const int64_t plane = channel * shape.height;
      std::memcpy(output + (plane + y) * shape.width + first,
                  image + (plane + from) * shape.width + first - right,
                  static_cast<size_t>(last - first));
    }
  }
}

}  // namespace distillery

#include "common/data/augmentation.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/names.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/data/number_change.h"
#include "common/data/picture_change.h"

namespace distillery {
namespace {

using Kind = AugmentationPart::Kind;

constexpr char kNone[] = "none";
constexpr int kMaxParts = 4;

// "augmentation \"PART\" TEXT"
template <typename... Text>
absl::Status PartError(absl::string_view part, const Text&... text) {
  return absl::InvalidArgumentError(
      absl::StrCat("augmentation \"", Printable(part), "\" ", text...));
}

// Writes the `size` bytes that end at `end`, the last one first.
void CopyReversed(const uint8_t* end, int64_t size, uint8_t* output) {
  for (; size >= 8; size -= 8) {
    end -= 8;
    uint64_t word = 0;
    std::memcpy(&word, end, 8);
    word = __builtin_bswap64(word);
    std::memcpy(output, &word, 8);
    output += 8;
  }
  for (; size > 0; --size) *output++ = *--end;
}

// Where each pixel of a picture comes from: out[y][x] = in[y - down][x - right], or mirrored
// in[y - down][right - x], inside a window; 0 outside it. Such maps stay such maps when shifted and
// flipped, so that a composition needs no picture between its parts.
class PixelMap {
 public:
  explicit PixelMap(const ImageShape& shape)
      : shape_(shape), bottom_(shape.height), window_right_(shape.width) {}

  // What leaves the picture is lost, even if a later shift goes back.
  void Shift(int64_t down, int64_t right) {
    down_ += down;
    right_ += right;
    top_ = std::max<int64_t>(0, top_ + down);
    bottom_ = std::min(shape_.height, bottom_ + down);
    window_left_ = std::max<int64_t>(0, window_left_ + right);
    window_right_ = std::min(shape_.width, window_right_ + right);
  }
  void Flip() {
    right_ = shape_.width - 1 - right_;
    mirrored_ = !mirrored_;
    window_left_ = shape_.width - std::exchange(window_right_, shape_.width - window_left_);
  }
  void Draw(const uint8_t* image, uint8_t* output) const {
    const int64_t width = shape_.width;
    const int64_t count = window_right_ - window_left_;
    const bool whole = bottom_ - top_ == shape_.height && count == width;
    if (whole && !mirrored_) {
      std::memcpy(output, image, static_cast<size_t>(shape_.size()));
      return;
    }
    if (!whole) std::memset(output, 0, static_cast<size_t>(shape_.size()));
    if (count <= 0) return;
    for (int64_t channel = 0; channel < shape_.channels; ++channel) {
      const int64_t plane = channel * shape_.height;
      for (int64_t y = top_; y < bottom_; ++y) {
        const uint8_t* const from = image + (plane + y - down_) * width;
        uint8_t* const to = output + (plane + y) * width + window_left_;
        if (mirrored_) {
          CopyReversed(from + right_ - window_left_ + 1, count, to);
        } else {
          std::memcpy(to, from + window_left_ - right_, static_cast<size_t>(count));
        }
      }
    }
  }

 private:
  ImageShape shape_;
  bool mirrored_ = false;
  int64_t down_ = 0;
  int64_t right_ = 0;
  // The window: rows [top_, bottom_), columns [window_left_, window_right_). Empty if not ordered.
  int64_t top_ = 0;
  int64_t bottom_;
  int64_t window_left_ = 0;
  int64_t window_right_;
};

// Takes what one of jitter, crop and flip draws into the map; the parts of other samples than
// pictures do nothing.
void MovePixels(const AugmentationPart& part, RandomStream* random, PixelMap* map) {
  const auto offset = [&] { return DrawEither(part.numbers[0], random); };
  switch (part.kind) {
    case Kind::kJitter: {
      const int64_t down = offset();
      map->Shift(down, offset());
      break;
    }
    case Kind::kCrop: {
      // A cut that lies lower shows the image higher.
      const int64_t lower = offset();
      map->Shift(-lower, -offset());
      break;
    }
    case Kind::kFlip:
      if (random->Below(2) == 1) map->Flip();
      break;
    default:
      break;
  }
}

}  // namespace

absl::StatusOr<Augmentation> Augmentation::Parse(const std::string& text) {
  Augmentation result;
  if (text.empty() || text == kNone) return result;
  const std::vector<absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('+', kMaxParts));
  if (parts.size() > kMaxParts) {
    return PartError(text, "has more than ", kMaxParts, " parts joined by '+'");
  }
  for (const absl::string_view text_of_part : parts) {
    DISTILLERY_ASSIGN_OR_RETURN(const AugmentationPart part, ParseAugmentationPart(text_of_part));
    for (const AugmentationPart& earlier : result.parts_) {
      if (earlier.kind == part.kind) {
        return PartError(text, "has ", NameOf(part), " twice; once is the most");
      }
    }
    result.parts_.push_back(part);
  }
  return result;
}

std::string Augmentation::ToString() const {
  if (identity()) return kNone;
  return absl::StrJoin(parts_, "+", [](std::string* text, const AugmentationPart& part) {
    absl::StrAppend(text, distillery::ToString(part));
  });
}

absl::Status Augmentation::CheckSuits(const SampleSpec& spec, const std::string& dataset) const {
  for (const AugmentationPart& part : parts_) {
    const std::string why_not = WhyNot(part, spec);
    if (why_not.empty()) continue;
    return absl::InvalidArgumentError(absl::StrCat("augmentation ", distillery::ToString(part), " ",
                                                   why_not, "; data set ", dataset, " is ",
                                                   spec.ToString(), ": leave it out"));
  }
  return absl::OkStatus();
}

void Augmentation::Apply(const ImageShape& shape, const uint8_t* image, int64_t seed,
                         int64_t stored_index, int64_t view, uint8_t* output, int pixel_max) const {
  // What a part reads while it writes `output`; kept, so that samples allocate nothing.
  thread_local std::vector<uint8_t> source;
  const auto size = static_cast<size_t>(shape.size());
  PixelMap map(shape);
  for (const AugmentationPart& part : parts_) {
    RandomStream random(seed, NameOf(part), static_cast<uint64_t>(stored_index),
                        static_cast<uint64_t>(view));
    if (!ChangesPictures(part)) {
      MovePixels(part, &random, &map);
      continue;
    }
    map.Draw(image, output);
    map = PixelMap(shape);
    if (NeedsSource(part)) source.assign(output, output + size);
    ChangePicture(part, shape, pixel_max, source.data(), &random, output);
    source.assign(output, output + size);
    image = source.data();
  }
  map.Draw(image, output);
}

void Augmentation::ApplyTo(const InputSpec& input, const uint8_t* stored, int64_t seed,
                           int64_t stored_index, int64_t view, uint8_t* output) const {
  if (input.is_picture()) {
    return Apply({input.shape[0], input.shape[1], input.shape[2]}, stored, seed, stored_index, view,
                 output, input.pixel_max);
  }
  std::memcpy(output, stored, static_cast<size_t>(input.bytes()));
  for (const AugmentationPart& part : parts_) {
    if (Suits(part, input)) ChangeNumbers(part, input, seed, stored_index, view, output);
  }
}

}  // namespace distillery

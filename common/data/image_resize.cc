#include "common/data/image_resize.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"

namespace distillery {
namespace {

using Axis = Resizer::Axis;

// In units of 1 / (from * to) of the whole, new place i is [i * from, (i + 1) * from) and old place
// j is [j * to, (j + 1) * to); the weights are the overlaps.
Axis ShrinkingAxis(int64_t from, int64_t to) {
  Axis axis{static_cast<uint64_t>(from), {}};
  for (int64_t i = 0; i < to; ++i) {
    const int64_t begin = i * from;
    const int64_t end = begin + from;
    Axis::Taps taps{begin / to, {}};
    for (int64_t j = taps.first; j * to < end; ++j) {
      taps.weights.push_back(
          static_cast<uint64_t>(std::min(end, (j + 1) * to) - std::max(begin, j * to)));
    }
    axis.places.push_back(std::move(taps));
  }
  return axis;
}

// The centre of new place i lies at (i + 1/2) * from / to - 1/2 old places, that is at
// ((2i + 1) * from - to) / (2 * to).
Axis GrowingAxis(int64_t from, int64_t to) {
  const int64_t unit = 2 * to;
  Axis axis{static_cast<uint64_t>(unit), {}};
  for (int64_t i = 0; i < to; ++i) {
    const int64_t centre = std::clamp<int64_t>((2 * i + 1) * from - to, 0, unit * (from - 1));
    const int64_t right = centre % unit;
    Axis::Taps taps{centre / unit, {static_cast<uint64_t>(unit - right)}};
    if (right != 0) taps.weights.push_back(static_cast<uint64_t>(right));
    axis.places.push_back(std::move(taps));
  }
  return axis;
}

Axis MakeAxis(int64_t from, int64_t to) {
  return to < from ? ShrinkingAxis(from, to) : GrowingAxis(from, to);
}

}  // namespace

absl::StatusOr<Resizer> Resizer::Create(const ImageShape& from, int64_t height, int64_t width) {
  for (const absl::Status& size : {CheckImageSize(from.height, from.width, "the image"),
                                   CheckImageSize(height, width, "the size wanted")}) {
    if (!size.ok()) return absl::InvalidArgumentError(size.message());
  }
  return Resizer(from, MakeAxis(from.height, height), MakeAxis(from.width, width));
}

Resizer::Resizer(const ImageShape& from, Axis down, Axis across)
    : from_(from),
      down_(std::move(down)),
      across_(std::move(across)),
      sums_(static_cast<size_t>(from.width)) {}

ImageShape Resizer::to() const {
  return {from_.channels, static_cast<int64_t>(down_.places.size()),
          static_cast<int64_t>(across_.places.size())};
}

void Resizer::Apply(const uint8_t* image, uint8_t* output) {
  // At most (2 * 65535)^2 < 2^35, so sums of 255 times that are far from 64 bits.
  const uint64_t total = down_.total * across_.total;
  for (int64_t channel = 0; channel < from_.channels; ++channel) {
    for (const Axis::Taps& rows : down_.places) {
      std::fill(sums_.begin(), sums_.end(), 0);
      const uint8_t* row = image + (channel * from_.height + rows.first) * from_.width;
      for (const uint64_t weight : rows.weights) {
        for (int64_t x = 0; x < from_.width; ++x) sums_[x] += weight * row[x];
        row += from_.width;
      }
      for (const Axis::Taps& columns : across_.places) {
        uint64_t sum = 0;
        for (size_t i = 0; i < columns.weights.size(); ++i) {
          sum += columns.weights[i] * sums_[columns.first + static_cast<int64_t>(i)];
        }
        *output++ = static_cast<uint8_t>((2 * sum + total) / (2 * total));
      }
    }
  }
}

absl::StatusOr<Image> Resize(const Image& image, int64_t height, int64_t width) {
  DISTILLERY_RETURN_IF_ERROR(CheckImage(image));
  if (height == image.shape.height && width == image.shape.width) return image;
  DISTILLERY_ASSIGN_OR_RETURN(Resizer resizer, Resizer::Create(image.shape, height, width));
  Image result{resizer.to(), std::vector<uint8_t>(static_cast<size_t>(resizer.to().size()))};
  resizer.Apply(image.pixels.data(), result.pixels.data());
  return result;
}

absl::StatusOr<Image> ResizeAndCrop(const Image& image, int64_t height, int64_t width) {
  DISTILLERY_RETURN_IF_ERROR(CheckImage(image));
  const absl::Status size = CheckImageSize(height, width, "the size wanted");
  if (!size.ok()) return absl::InvalidArgumentError(size.message());
  const ImageShape from = image.shape;
  // numerator / denominator, rounded, but at least `least`.
  const auto scaled = [](int64_t numerator, int64_t denominator, int64_t least) {
    return std::max(least, (2 * numerator + denominator) / (2 * denominator));
  };
  const bool fit_height = height * from.width >= width * from.height;
  const int64_t down = fit_height ? height : scaled(from.height * width, from.width, height);
  const int64_t across = fit_height ? scaled(from.width * height, from.height, width) : width;
  DISTILLERY_ASSIGN_OR_RETURN(const Image whole, Resize(image, down, across));
  Image middle{{from.channels, height, width}, {}};
  middle.pixels.reserve(static_cast<size_t>(middle.shape.size()));
  for (int64_t channel = 0; channel < from.channels; ++channel) {
    for (int64_t y = 0; y < height; ++y) {
      const auto row = whole.pixels.begin() + (channel * down + (down - height) / 2 + y) * across +
                       (across - width) / 2;
      middle.pixels.insert(middle.pixels.end(), row, row + width);
    }
  }
  return middle;
}

}  // namespace distillery

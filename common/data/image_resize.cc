#include "common/data/image_resize.h"

#include <algorithm>

#include "common/base/status_macros.h"

namespace distillery {
namespace {

// For each new place of one direction: the old places that it is made of, with whole weights.
struct Axis {
  struct Taps {
    int64_t first = 0;
    std::vector<uint64_t> weights;
  };
  // What the weights of each place sum up to.
  uint64_t total = 0;
  std::vector<Taps> places;
};

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

absl::StatusOr<Image> Resize(const Image& image, int64_t height, int64_t width) {
  DISTILLERY_RETURN_IF_ERROR(CheckImage(image));
  const absl::Status size = CheckImageSize(height, width, "the size wanted");
  if (!size.ok()) return absl::InvalidArgumentError(size.message());
  const ImageShape from = image.shape;
  if (height == from.height && width == from.width) return image;
  const Axis down = MakeAxis(from.height, height);
  const Axis across = MakeAxis(from.width, width);
  // At most (2 * 65535)^2 < 2^35, so sums of 255 times that are far from 64 bits.
  const uint64_t total = down.total * across.total;
  Image result{{from.channels, height, width}, {}};
  result.pixels.reserve(static_cast<size_t>(result.shape.size()));
  // Each column's weighted sum over the rows that one new row is made of.
  std::vector<uint64_t> sums(static_cast<size_t>(from.width));
  for (int64_t channel = 0; channel < from.channels; ++channel) {
    for (const Axis::Taps& rows : down.places) {
      std::fill(sums.begin(), sums.end(), 0);
      const uint8_t* row = &image.pixels[(channel * from.height + rows.first) * from.width];
      for (const uint64_t weight : rows.weights) {
        for (int64_t x = 0; x < from.width; ++x) sums[x] += weight * row[x];
        row += from.width;
      }
      for (const Axis::Taps& columns : across.places) {
        uint64_t sum = 0;
        for (size_t i = 0; i < columns.weights.size(); ++i) {
          sum += columns.weights[i] * sums[columns.first + static_cast<int64_t>(i)];
        }
        result.pixels.push_back(static_cast<uint8_t>((2 * sum + total) / (2 * total)));
      }
    }
  }
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

// Images to another size, with the same pixels on every machine.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/image.h"

namespace distillery {

// Makes pictures of one size into pictures of another, as Resize says; any number of channels.
//
//   DISTILLERY_ASSIGN_OR_RETURN(Resizer resizer, Resizer::Create({3, 8, 8}, 4, 4));
//   resizer.Apply(stored, shrunk);
//
// Threads: one, since it keeps what it counts in.
class Resizer {
 public:
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

  // INVALID_ARGUMENT as CheckImageSize, for both sizes.
  static absl::StatusOr<Resizer> Create(const ImageShape& from, int64_t height, int64_t width);

  ImageShape to() const;
  // From [channels, height, width] of the one size to that of the other, which must not overlap.
  void Apply(const uint8_t* image, uint8_t* output);

 private:
  Resizer(const ImageShape& from, Axis down, Axis across);

  ImageShape from_;
  Axis down_;
  Axis across_;
  // Each column's weighted sum over the rows that one new row is made of.
  std::vector<uint64_t> sums_;
};

// Stretches the image to height x width, each direction on its own: one that shrinks takes the mean
// of the area that each new pixel covers; one that grows goes linearly between the centres of the
// old pixels, and repeats the outermost beyond them. Whole numbers throughout, rounded once, halves
// upwards. INVALID_ARGUMENT as CheckImage, for the image and for the size wanted.
absl::StatusOr<Image> Resize(const Image& image, int64_t height, int64_t width);

// Resizes the image so that it just covers height x width with its sides in proportion, and takes
// the middle: of n rows or columns too many, n / 2 (rounded down) are cut off in front. The side
// that does not fit exactly is rounded to the nearest whole number of pixels, halves upwards.
// INVALID_ARGUMENT as Resize, also where the size between the two is too large.
absl::StatusOr<Image> ResizeAndCrop(const Image& image, int64_t height, int64_t width);

}  // namespace distillery

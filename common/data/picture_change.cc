#include "common/data/picture_change.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/data/whole_rotation.h"

namespace distillery {
namespace {

using Kind = AugmentationPart::Kind;

// Places between pixels are in units of 1 / kUnit of a pixel.
constexpr int64_t kUnit = 65536;

// A whole quotient rounded down, also below 0. REQUIRES: unit > 0.
int64_t FloorDivide(int64_t number, int64_t unit) {
  return number / unit - (number % unit < 0 ? 1 : 0);
}

// Writes each pixel as the bilinear mean of the four around place(y, x) of the source, a pair of
// (y, x) in units of 1 / kUnit; 0 is outside.
template <typename Place>
void Warp(const ImageShape& shape, const uint8_t* source, uint8_t* picture, const Place& place) {
  const int64_t plane = shape.height * shape.width;
  for (int64_t y = 0; y < shape.height; ++y) {
    for (int64_t x = 0; x < shape.width; ++x) {
      const auto [place_y, place_x] = place(y, x);
      const int64_t top = FloorDivide(place_y, kUnit);
      const int64_t left = FloorDivide(place_x, kUnit);
      const int64_t down = place_y - top * kUnit;
      const int64_t right = place_x - left * kUnit;
      const int64_t weights[] = {(kUnit - down) * (kUnit - right), (kUnit - down) * right,
                                 down * (kUnit - right), down * right};
      for (int64_t channel = 0; channel < shape.channels; ++channel) {
        const uint8_t* const from = source + channel * plane;
        int64_t sum = kUnit * kUnit / 2;
        for (int64_t tap = 0; tap < 4; ++tap) {
          const int64_t row = top + tap / 2;
          const int64_t column = left + tap % 2;
          if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
          sum += weights[tap] * from[row * shape.width + column];
        }
        picture[channel * plane + y * shape.width + x] =
            static_cast<uint8_t>(sum / (kUnit * kUnit));
      }
    }
  }
}

struct Box {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

// A box of `hundredths` of a percent of the picture, 1 / most to `most` times as wide as it is high
// where `most` is given in 1/12; false if it does not fit in below `height` and `width`.
bool DrawBox(const ImageShape& shape, int64_t hundredths, int64_t most, RandomStream* random,
             Box* box) {
  // How often the longer side is the shorter one, in 1/1200.
  const int64_t ratio =
      1200 + static_cast<int64_t>(random->Below(static_cast<uint64_t>(100 * most - 1200 + 1)));
  const bool wide = random->Below(2) == 1;
  const double area = static_cast<double>(shape.height * shape.width * hundredths) / 10000.0;
  const double slant = static_cast<double>(ratio) / 1200.0;
  const int64_t longer{std::lround(std::sqrt(area * slant))};
  const int64_t shorter{std::lround(std::sqrt(area / slant))};
  box->height = wide ? shorter : longer;
  box->width = wide ? longer : shorter;
  if (box->height < 1 || box->width < 1 || box->height > shape.height || box->width > shape.width) {
    return false;
  }
  box->top = static_cast<int64_t>(random->Below(shape.height - box->height + 1));
  box->left = static_cast<int64_t>(random->Below(shape.width - box->width + 1));
  return true;
}

constexpr int kTries = 10;

void ResizedCrop(const AugmentationPart& part, const ImageShape& shape, const uint8_t* source,
                 RandomStream* random, uint8_t* picture) {
  Box box;
  bool fits = false;
  for (int i = 0; i < kTries && !fits; ++i) {
    const int64_t least = int64_t{100} * part.numbers[0];
    const int64_t area = least + static_cast<int64_t>(random->Below(10000 - least + 1));
    fits = DrawBox(shape, area, 16, random, &box);
  }
  if (!fits) return;
  // The middle of pixel i of the new size, in the box.
  const auto middle = [](int64_t i, int64_t first, int64_t from, int64_t to) {
    const int64_t inside = (2 * i + 1) * from * kUnit / (2 * to) - kUnit / 2;
    return first * kUnit + std::clamp<int64_t>(inside, 0, (from - 1) * kUnit);
  };
  Warp(shape, source, picture, [&](int64_t y, int64_t x) {
    return std::array<int64_t, 2>{middle(y, box.top, box.height, shape.height),
                                  middle(x, box.left, box.width, shape.width)};
  });
}

void Affine(const AugmentationPart& part, const ImageShape& shape, const uint8_t* source,
            RandomStream* random, uint8_t* picture) {
  const Rotation turn = RotationOf(DrawEither(int64_t{100} * part.numbers[0], random));
  const int64_t down = DrawEither(part.numbers[1], random);
  const int64_t right = DrawEither(part.numbers[1], random);
  const int64_t percent = 100 + DrawEither(part.numbers[2], random);
  const Rotation shear = RotationOf(DrawEither(int64_t{100} * part.numbers[3], random));
  const int64_t slant = shear.sine * kOneRotation / shear.cosine;
  // From places of the new picture to those of the old one: first slanted, then turned.
  const auto scaled = [percent](int64_t number) { return number * 100 / percent; };
  const int64_t x_from_x = scaled(turn.cosine);
  const int64_t x_from_y = scaled(turn.cosine * slant / kOneRotation - turn.sine);
  const int64_t y_from_x = scaled(turn.sine);
  const int64_t y_from_y = scaled(turn.sine * slant / kOneRotation + turn.cosine);
  Warp(shape, source, picture, [&](int64_t y, int64_t x) {
    // Twice the distances from the middle, so that they are whole.
    const int64_t dy = 2 * (y - down) - (shape.height - 1);
    const int64_t dx = 2 * (x - right) - (shape.width - 1);
    constexpr int64_t kPart = 2 * kOneRotation / kUnit;
    return std::array<int64_t, 2>{
        FloorDivide(y_from_x * dx + y_from_y * dy, kPart) + (shape.height - 1) * kUnit / 2,
        FloorDivide(x_from_x * dx + x_from_y * dy, kPart) + (shape.width - 1) * kUnit / 2};
  });
}

void Elastic(const AugmentationPart& part, const ImageShape& shape, const uint8_t* source,
             RandomStream* random, uint8_t* picture) {
  constexpr int64_t kCells = 4;
  int64_t knots[2][kCells + 1][kCells + 1];
  for (auto& direction : knots) {
    for (auto& row : direction) {
      for (int64_t& knot : row) knot = DrawEither(part.numbers[0] * kUnit, random);
    }
  }
  // How far along the grid a pixel lies, 0 to kCells * kUnit.
  const auto along = [](int64_t i, int64_t size) {
    return size == 1 ? kCells * kUnit / 2 : i * kCells * kUnit / (size - 1);
  };
  Warp(shape, source, picture, [&](int64_t y, int64_t x) {
    const int64_t grid_y = along(y, shape.height);
    const int64_t grid_x = along(x, shape.width);
    const int64_t row = std::min(grid_y / kUnit, kCells - 1);
    const int64_t column = std::min(grid_x / kUnit, kCells - 1);
    const int64_t down = grid_y - row * kUnit;
    const int64_t right = grid_x - column * kUnit;
    const auto moved = [&](const int64_t(&k)[kCells + 1][kCells + 1]) {
      const int64_t upper = k[row][column] * (kUnit - right) + k[row][column + 1] * right;
      const int64_t lower = k[row + 1][column] * (kUnit - right) + k[row + 1][column + 1] * right;
      return FloorDivide(upper / kUnit * (kUnit - down) + lower / kUnit * down, kUnit);
    };
    return std::array<int64_t, 2>{y * kUnit + moved(knots[0]), x * kUnit + moved(knots[1])};
  });
}

// What a pixel looks like in grey; `pixel` is its first channel, the others lie `plane` apart.
int64_t Grey(const uint8_t* pixel, int64_t plane, int64_t channels) {
  if (channels == 3) return (299 * pixel[0] + 587 * pixel[plane] + 114 * pixel[2 * plane]) / 1000;
  int64_t sum = 0;
  for (int64_t channel = 0; channel < channels; ++channel) sum += pixel[channel * plane];
  return sum / channels;
}

// Turns colours about the axis of greys (Rodrigues' rotation), which keeps greys.
void TurnHue(const Rotation& turn, int64_t plane, int64_t pixel_max, uint8_t* picture) {
  constexpr int64_t kRootOfThird = 619925131;  // sqrt(1/3) of kOneRotation
  const int64_t own = turn.cosine + (kOneRotation - turn.cosine) / 3;
  const int64_t even = (kOneRotation - turn.cosine) / 3;
  const int64_t odd = turn.sine * kRootOfThird / kOneRotation;
  for (int64_t i = 0; i < plane; ++i) {
    const int64_t old[] = {picture[i], picture[i + plane], picture[i + 2 * plane]};
    for (int64_t channel = 0; channel < 3; ++channel) {
      const int64_t sum = own * old[channel] + (even - odd) * old[(channel + 1) % 3] +
                          (even + odd) * old[(channel + 2) % 3];
      picture[i + channel * plane] = static_cast<uint8_t>(
          std::clamp<int64_t>(FloorDivide(sum + kOneRotation / 2, kOneRotation), 0, pixel_max));
    }
  }
}

void Color(const AugmentationPart& part, const ImageShape& shape, int64_t pixel_max,
           RandomStream* random, uint8_t* picture) {
  const int64_t plane = shape.height * shape.width;
  const int64_t brightness = 100 + DrawEither(part.numbers[0], random);
  const int64_t contrast = 100 + DrawEither(part.numbers[1], random);
  const int64_t saturation = 100 + DrawEither(part.numbers[2], random);
  const Rotation hue = RotationOf(DrawEither(int64_t{100} * part.numbers[3], random));
  // From `middle`, `percent` of the way to the number, rounded down.
  const auto blended = [pixel_max](int64_t middle, int64_t number, int64_t percent) {
    return static_cast<uint8_t>(std::clamp<int64_t>(
        FloorDivide(100 * middle + (number - middle) * percent, 100), 0, pixel_max));
  };
  const int64_t size = shape.size();
  for (int64_t i = 0; i < size; ++i) picture[i] = blended(0, picture[i], brightness);
  if (contrast != 100) {
    int64_t sum = 0;
    for (int64_t i = 0; i < plane; ++i) sum += Grey(picture + i, plane, shape.channels);
    for (int64_t i = 0; i < size; ++i) picture[i] = blended(sum / plane, picture[i], contrast);
  }
  if (shape.channels != 3) return;
  for (int64_t i = 0; saturation != 100 && i < plane; ++i) {
    const int64_t grey = Grey(picture + i, plane, 3);
    for (int64_t channel = 0; channel < 3; ++channel) {
      uint8_t& pixel = picture[i + channel * plane];
      pixel = blended(grey, pixel, saturation);
    }
  }
  if (part.numbers[3] != 0) TurnHue(hue, plane, pixel_max, picture);
}

void Erase(const AugmentationPart& part, const ImageShape& shape, int64_t pixel_max,
           RandomStream* random, uint8_t* picture) {
  if (random->Below(100) >= static_cast<uint64_t>(part.numbers[0])) return;
  Box box;
  bool fits = false;
  for (int i = 0; i < kTries && !fits; ++i) {
    const int64_t area = 200 + static_cast<int64_t>(random->Below(3101));
    fits = DrawBox(shape, area, 40, random, &box) && box.height < shape.height &&
           box.width < shape.width;
  }
  if (!fits) return;
  for (int64_t channel = 0; channel < shape.channels; ++channel) {
    for (int64_t y = box.top; y < box.top + box.height; ++y) {
      uint8_t* const row = picture + (channel * shape.height + y) * shape.width;
      for (int64_t x = box.left; x < box.left + box.width; ++x) {
        row[x] = static_cast<uint8_t>(random->Below(static_cast<uint64_t>(pixel_max) + 1));
      }
    }
  }
}

}  // namespace

bool ChangesPictures(const AugmentationPart& part) {
  return NeedsSource(part) || part.kind == Kind::kColor || part.kind == Kind::kErase;
}

bool NeedsSource(const AugmentationPart& part) {
  return part.kind == Kind::kResizedCrop || part.kind == Kind::kAffine ||
         part.kind == Kind::kElastic;
}

void ChangePicture(const AugmentationPart& part, const ImageShape& shape, int pixel_max,
                   const uint8_t* source, RandomStream* random, uint8_t* picture) {
  switch (part.kind) {
    case Kind::kResizedCrop:
      return ResizedCrop(part, shape, source, random, picture);
    case Kind::kAffine:
      return Affine(part, shape, source, random, picture);
    case Kind::kElastic:
      return Elastic(part, shape, source, random, picture);
    case Kind::kColor:
      return Color(part, shape, pixel_max, random, picture);
    case Kind::kErase:
      return Erase(part, shape, pixel_max, random, picture);
    default:
      return;
  }
}

}  // namespace distillery

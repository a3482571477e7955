// A picture with the class of each of its pixels over it, for people to look at.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/data/image.h"

namespace distillery {

// Red, green and blue of a class, each far from those of its neighbours in number. Class 0 has
// none, which mostly is the background.
std::array<uint8_t, 3> ClassColour(int64_t label);

// `picture` (of any number of channels, grey unless it has three) in colour; where `classes`
// [height, width] has a class above 0, half of it and half the class's colour. Other pixels, those
// of kNoLabel too, stay as they are. REQUIRES: as many classes as the picture has pixels.
Image DrawMask(const Image& picture, const std::vector<int64_t>& classes);

}  // namespace distillery

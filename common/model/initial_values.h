// First values of parameters, drawn from the stream that names them.
#pragma once

#include <cstdint>

#include "common/base/philox.h"

namespace distillery {

// Uniform in [-bound, bound).
void FillUniform(RandomStream random, float bound, float* values, int64_t count);

// Normal with mean 0 (Box and Muller 1958); none is further out than 5.8 deviations.
void FillNormal(RandomStream random, double deviation, float* values, int64_t count);

}  // namespace distillery

// IEEE binary16, of soft targets and deltas.
//
// Threads: safe for all. Rows are converted with F16C where the processor has it, to the same bits.
#pragma once

#include <cstdint>

namespace distillery {

// Rounded to nearest, ties to even. Beyond 65504 it saturates, infinity too: an infinite target
// would poison a loss, a large one does not. NaN stays NaN.
uint16_t FloatToHalf(float value);
float HalfToFloat(uint16_t half);

// `halves` and `floats` need no alignment; halves are little-endian.
void FloatsToHalves(const float* floats, int64_t count, char* halves);
void HalvesToFloats(const char* halves, int64_t count, float* floats);

}  // namespace distillery

#include "common/base/half.h"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace distillery {
namespace {

void PortableFloatsToHalves(const float* floats, int64_t count, char* halves) {
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t half = FloatToHalf(floats[i]);
    std::memcpy(halves + i * 2, &half, 2);
  }
}

void PortableHalvesToFloats(const char* halves, int64_t count, float* floats) {
  for (int64_t i = 0; i < count; ++i) {
    uint16_t half = 0;
    std::memcpy(&half, halves + i * 2, 2);
    floats[i] = HalfToFloat(half);
  }
}

#if defined(__x86_64__)

// clang 14's __builtin_cpu_supports does not know F16C; AVX says that the system saves the
// registers.
bool HasF16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __builtin_cpu_supports("avx") != 0 && __get_cpuid(1, &a, &b, &c, &d) != 0 &&
         (c & bit_F16C) != 0;
}

__attribute__((target("avx,f16c"))) int64_t F16cFloatsToHalves(const float* floats, int64_t count,
                                                               char* halves) {
  const __m256 limit = _mm256_set1_ps(65504.0F);
  const __m256 negative_limit = _mm256_set1_ps(-65504.0F);
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    // If an operand is NaN the second one is the result.
    const __m256 value =
        _mm256_max_ps(negative_limit, _mm256_min_ps(limit, _mm256_loadu_ps(floats + i)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(halves + i * 2),
                     _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
  }
  return i;
}

__attribute__((target("avx,f16c"))) int64_t F16cHalvesToFloats(const char* halves, int64_t count,
                                                               float* floats) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(
        floats + i,
        _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + i * 2))));
  }
  return i;
}

#endif

}  // namespace

uint16_t FloatToHalf(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) {  // NaN: made quiet, its first bits kept, as F16C does
    return static_cast<uint16_t>(sign | 0x7E00U | ((magnitude >> 13) & 0x3FFU));
  }
  if (magnitude >= 0x477FE000U) return static_cast<uint16_t>(sign | 0x7BFFU);  // from 65504
  uint32_t mantissa = magnitude & 0x7FFFFFU;
  const int exponent = static_cast<int>(magnitude >> 23) - 112;
  int shift = 13;
  uint32_t base = 0;
  if (exponent <= 0) {  // subnormal half
    if (exponent < -10) return sign;
    mantissa |= 0x800000U;
    shift = 14 - exponent;
  } else {
    base = static_cast<uint32_t>(exponent) << 10;
  }
  uint32_t half = base + (mantissa >> shift);
  const uint32_t rest = mantissa & ((1U << shift) - 1);
  const uint32_t middle = 1U << (shift - 1);
  if (rest > middle || (rest == middle && (half & 1U) != 0)) ++half;
  return static_cast<uint16_t>(sign | half);
}

float HalfToFloat(uint16_t half) {
  const uint32_t sign = (half & 0x8000U) << 16;
  const uint32_t exponent = (half >> 10) & 0x1FU;
  const uint32_t mantissa = half & 0x3FFU;
  uint32_t bits = 0;
  if (exponent == 31) {
    bits = sign | 0x7F800000U | (mantissa << 13) | (mantissa != 0 ? 0x400000U : 0U);
  } else if (exponent != 0) {
    bits = sign | ((exponent + 112) << 23) | (mantissa << 13);
  } else {
    const float value = static_cast<float>(mantissa) * 0x1.0p-24F;
    return sign != 0 ? -value : value;
  }
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

void FloatsToHalves(const float* floats, int64_t count, char* halves) {
  int64_t done = 0;
#if defined(__x86_64__)
  static const bool fast = HasF16c();
  if (fast) done = F16cFloatsToHalves(floats, count, halves);
#endif
  PortableFloatsToHalves(floats + done, count - done, halves + done * 2);
}

void HalvesToFloats(const char* halves, int64_t count, float* floats) {
  int64_t done = 0;
#if defined(__x86_64__)
  static const bool fast = HasF16c();
  if (fast) done = F16cHalvesToFloats(halves, count, floats);
#endif
  PortableHalvesToFloats(halves + done * 2, count - done, floats + done);
}

}  // namespace distillery

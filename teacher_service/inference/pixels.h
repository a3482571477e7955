// Inputs of the Open Inference Protocol: reads its data types, and turns raw bytes into numbers.
//
// Threads: safe for all.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

enum class PixelType { kFloat32, kFloat64, kFloat16, kUint8 };

// "FP32", "FP64", "FP16" or "UINT8"; else INVALID_ARGUMENT.
absl::StatusOr<PixelType> ParsePixelType(const std::string& datatype);
std::string PixelTypeName(PixelType type);
int64_t PixelBytes(PixelType type);

// Turns little-endian elements, which need no alignment, into the same numbers as floats; FP64 is
// rounded to float32. REQUIRES: room for raw.size() / PixelBytes(type) pixels.
void DecodePixels(absl::string_view raw, PixelType type, float* pixels);

}  // namespace distillery

// Inputs of the Open Inference Protocol: its data types, and raw bytes to numbers.
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

// Little-endian elements without alignment to the same numbers; FP64 is rounded to float32.
// REQUIRES: room for raw.size() / PixelBytes(type) pixels.
void DecodePixels(absl::string_view raw, PixelType type, float* pixels);

}  // namespace distillery

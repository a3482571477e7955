// Types of the elements of tensors: in memory, in safetensors files and on the wire.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace distillery {

enum class ElementType {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUInt8,
  kBool
};

struct ElementTypeSpec {
  ElementType type;
  // In the header of a safetensors file.
  absl::string_view name;
  // In cards and texts.
  absl::string_view text;
  int64_t bytes;
  // Its number in tensor.proto; 0: it does not travel in messages.
  int wire;
};

// In the order of the enum.
inline constexpr ElementTypeSpec kElementTypes[] = {
    {ElementType::kFloat32, "F32", "float32", 4, 1},
    {ElementType::kFloat64, "F64", "float64", 8, 0},
    {ElementType::kFloat16, "F16", "float16", 2, 2},
    {ElementType::kBFloat16, "BF16", "bfloat16", 2, 8},
    {ElementType::kInt64, "I64", "int64", 8, 7},
    {ElementType::kInt32, "I32", "int32", 4, 6},
    {ElementType::kInt16, "I16", "int16", 2, 5},
    {ElementType::kInt8, "I8", "int8", 1, 3},
    {ElementType::kUInt8, "U8", "uint8", 1, 4},
    {ElementType::kBool, "BOOL", "bool", 1, 0},
};

constexpr const ElementTypeSpec& SpecOf(ElementType type) {
  return kElementTypes[static_cast<int>(type)];
}

}  // namespace distillery

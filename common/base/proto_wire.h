// Protobuf's wire format by hand, for what must not be copied or has no generated class
// (protobuf.dev/programming-guides/encoding).
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace distillery {

inline void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

// A field of an integer or enum type. proto3 leaves zeros out: that is the caller's.
inline void AppendVarintField(int field, uint64_t value, std::string* out) {
  AppendVarint(static_cast<uint64_t>(field) << 3, out);
  AppendVarint(value, out);
}

inline void AppendFixed32Field(int field, uint32_t value, std::string* out) {
  AppendVarint((static_cast<uint64_t>(field) << 3) | 5, out);
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

// Tag and length of a string, message or packed field, whose `size` bytes follow.
inline void AppendLengthField(int field, uint64_t size, std::string* out) {
  AppendVarint((static_cast<uint64_t>(field) << 3) | 2, out);
  AppendVarint(size, out);
}

inline void AppendBytesField(int field, absl::string_view bytes, std::string* out) {
  AppendLengthField(field, bytes.size(), out);
  out->append(bytes.data(), bytes.size());
}

}  // namespace distillery

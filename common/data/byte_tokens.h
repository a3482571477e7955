// Text as tokens: each byte is one, its value and 1; 0 fills what is too short.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace distillery {

inline constexpr int64_t kByteVocabulary = 257;
inline constexpr int64_t kPadding = 0;

inline int64_t TokenOf(char byte) { return int64_t{static_cast<uint8_t>(byte)} + 1; }

// "<pad>", and for each byte its letter, or "<0x0A>" for one that is none.
std::vector<std::string> ByteTokenNames();

}  // namespace distillery

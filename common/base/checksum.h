// Checksums of bytes: SHA-256 (OpenSSL) for identity, CRC-32C (ISA-L) for damage in transit and at rest.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace distillery {

// Incremental SHA-256. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256& Update(absl::string_view bytes);
  // Call one of the two, once, last. HexDigest: 64 lowercase hex digits.
  std::array<char, 32> Digest();
  std::string HexDigest();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string Sha256Hex(absl::string_view bytes);

// CRC-32C (Castagnoli) of `bytes` after bytes whose CRC is `previous`; 0 starts.
uint32_t Crc32c(absl::string_view bytes, uint32_t previous = 0);

}  // namespace distillery

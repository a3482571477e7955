// Checksums of bytes: SHA-256 (OpenSSL) for identity, CRC-32C (ISA-L) for damage in transit and at
// rest.
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

// Joins CRCs of bytes that follow each other, without the bytes.
class Crc32cJoin {
 public:
  // For second parts of so many bytes.
  explicit Crc32cJoin(int64_t second_bytes);
  // The CRC-32C of both, given that of each. Takes 32 steps.
  uint32_t operator()(uint32_t first, uint32_t second) const;

 private:
  uint32_t power_;
};

}  // namespace distillery

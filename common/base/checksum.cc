#include "common/base/checksum.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/escaping.h"

namespace distillery {

struct Sha256::Context {
  EVP_MD_CTX* const evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr);
}

Sha256::~Sha256() = default;

Sha256& Sha256::Update(absl::string_view bytes) {
  EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size());
  return *this;
}

std::array<char, 32> Sha256::Digest() {
  std::array<char, 32> digest{};
  EVP_DigestFinal_ex(context_->evp, reinterpret_cast<unsigned char*>(digest.data()), nullptr);
  return digest;
}

std::string Sha256::HexDigest() {
  const std::array<char, 32> digest = Digest();
  return absl::BytesToHexString({digest.data(), digest.size()});
}

std::string Sha256Hex(absl::string_view bytes) { return Sha256().Update(bytes).HexDigest(); }

uint32_t Crc32c(absl::string_view bytes, uint32_t previous) {
  // ISA-L takes and gives the inverted register, and an int length.
  uint32_t state = ~previous;
  while (!bytes.empty()) {
    const size_t step = std::min<size_t>(bytes.size(), size_t{1} << 30);
    state = crc32_iscsi(
        reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data())),  // NOLINT: C interface
        static_cast<int>(step), state);
    bytes.remove_prefix(step);
  }
  return ~state;
}

}  // namespace distillery

#include "common/base/checksum.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "common/base/failpoint.h"

namespace distillery {
namespace {

// Polynomials over GF(2) as CRC-32C has them: the highest bit is the coefficient of x^0.
constexpr uint32_t kOne = uint32_t{1} << 31;
constexpr uint32_t kX8 = kOne >> 8;
constexpr uint32_t kPolynomial = 0x82F63B78;

// a * b modulo the polynomial.
uint32_t Multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kPolynomial : 0);
  }
  return product;
}

}  // namespace

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
  DISTILLERY_FAILPOINT("files.hashing");
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

// A byte that follows multiplies what was there by x^8; zlib's crc32_combine does the same.
Crc32cJoin::Crc32cJoin(int64_t second_bytes) : power_(kOne) {
  uint32_t square = kX8;
  for (auto bytes = static_cast<uint64_t>(second_bytes); bytes != 0; bytes >>= 1) {
    if ((bytes & 1) != 0) power_ = Multiply(power_, square);
    square = Multiply(square, square);
  }
}

uint32_t Crc32cJoin::operator()(uint32_t first, uint32_t second) const {
  return Multiply(power_, first) ^ second;
}

}  // namespace distillery

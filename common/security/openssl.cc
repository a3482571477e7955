#include "common/security/openssl.h"

#include <openssl/err.h>

namespace distillery {
namespace {

BioPtr Reader(absl::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Asks nobody for a password.
int NoPassword(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) { return -1; }

}  // namespace

std::vector<X509Ptr> ReadPemCertificates(absl::string_view pem) {
  std::vector<X509Ptr> certificates;
  const BioPtr bio = Reader(pem);
  while (X509Ptr next{PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)}) {
    certificates.push_back(std::move(next));
  }
  // The end looks like "no start line"; all else is damage.
  const unsigned long error = ERR_peek_last_error();
  if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
    certificates.clear();
  }
  ERR_clear_error();
  return certificates;
}

KeyPtr ReadPemKey(absl::string_view pem) {
  const BioPtr bio = Reader(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return key;
}

std::string TakeOpensslError() {
  const unsigned long error = ERR_peek_last_error();
  const char* const text = error == 0 ? nullptr : ERR_reason_error_string(error);
  ERR_clear_error();
  return text == nullptr ? "unknown reason" : text;
}

}  // namespace distillery

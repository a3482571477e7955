// A certificate authority for one test, and certificates that it signed, of any content.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/rpc/transport.h"
#include "tests/common/temporary_folder.h"

namespace distillery {

// Keys are P-256; what is not said to have ended is valid for months. Threads: one.
class TestAuthority {
 public:
  TestAuthority() {
    ca_ = Sign("ca", "", key_.get());
    Write("ca.pem", [&](BIO* out) { PEM_write_bio_X509(out, ca_.get()); });
  }

  // Seconds: no warning of the end for a while.
  static constexpr long kLasting = 90L * 24 * 3600;

  // Files for a program whose certificate shows `names`, such as "DNS:example.org,IP:127.0.0.1".
  // Replaces files of the same name. `end`: seconds from now.
  TransportOptions Issue(const std::string& name, const std::string& names, long end = kLasting) {
    const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    const Certificate certificate = Sign(name, names, key.get(), end);
    Write(name + ".pem", [&](BIO* out) { PEM_write_bio_X509(out, certificate.get()); });
    Write(name + ".key", [&](BIO* out) {
      PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    TransportOptions options;
    options.tls_certificate = folder_.File(name + ".pem");
    options.tls_key = folder_.File(name + ".key");
    options.tls_ca = folder_.File("ca.pem");
    return options;
  }
  // The files of a client with a role and a name.
  TransportOptions IssueRole(const std::string& role, const std::string& name) {
    return Issue(name, absl::StrCat("URI:spiffe://distillery/", role, "/", name));
  }
  // The files of a coordinator at 127.0.0.1.
  TransportOptions IssueServer(const std::string& name = "server") {
    return Issue(name, absl::StrCat("IP:127.0.0.1,URI:spiffe://distillery/coordinator/", name));
  }

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

  // Signed by the authority, which signs itself.
  Certificate Sign(const std::string& name, const std::string& names, EVP_PKEY* key,
                   long end = kLasting) {
    Certificate certificate(X509_new(), &X509_free);
    X509_set_version(certificate.get(), 2);  // that is version 3
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -7200);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), end);
    X509_set_pubkey(certificate.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509* const issuer = ca_ == nullptr ? certificate.get() : ca_.get();
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer));
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate.get(), nullptr, nullptr, 0);
    const auto add = [&](int kind, const std::string& value) {
      X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
      EXPECT_NE(extension, nullptr) << value;
      X509_add_ext(certificate.get(), extension, -1);
      X509_EXTENSION_free(extension);
    };
    add(NID_basic_constraints, ca_ == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (!names.empty()) add(NID_subject_alt_name, names);
    EXPECT_GT(X509_sign(certificate.get(), key_.get(), EVP_sha256()), 0);
    return certificate;
  }

  template <typename Writer>
  void Write(const std::string& file, const Writer& writer) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), &BIO_free);
    writer(out.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    EXPECT_TRUE(WriteFileDurably(folder_.File(file), {data, static_cast<size_t>(size)}).ok());
  }

  TemporaryFolder folder_;
  int serial_ = 0;
  const Key key_{EVP_EC_gen("P-256"), &EVP_PKEY_free};
  // Null while it signs itself.
  Certificate ca_{nullptr, &X509_free};
};

}  // namespace distillery

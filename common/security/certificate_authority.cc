#include "common/security/certificate_authority.h"

#include <openssl/rand.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/security/certificate.h"

namespace distillery {
namespace {

absl::Status Failed(absl::string_view what) {
  return absl::InternalError(absl::StrCat("OpenSSL could not ", what, ": ", TakeOpensslError()));
}

bool IsIp(const std::string& host) {
  ASN1_OCTET_STRING* const address = a2i_IPADDRESS(host.c_str());
  const bool is_ip = address != nullptr;
  ASN1_OCTET_STRING_free(address);
  TakeOpensslError();
  return is_ip;
}

struct Extension {
  int kind;
  std::string value;
};

std::string AlternativeNames(const CertificateRequest& request) {
  std::vector<std::string> names = {absl::StrCat("URI:", IdentityUri(request.identity))};
  if (IsServer(request.identity.role)) {
    std::vector<std::string> hosts = request.hosts;
    for (const char* const always : {"localhost", "127.0.0.1"}) {
      if (std::find(hosts.begin(), hosts.end(), always) == hosts.end()) hosts.push_back(always);
    }
    for (const std::string& host : hosts) {
      names.push_back(absl::StrCat(IsIp(host) ? "IP:" : "DNS:", host));
    }
  }
  return absl::StrJoin(names, ",");
}

// RFC 5280: positive, at most 20 bytes; RFC 8446 and browsers want at least 64 random bits.
bool SetRandomSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7F) | 0x40);
  BIGNUM* const number = BN_bin2bn(bytes, sizeof(bytes), nullptr);
  const bool set = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return set;
}

// Signed by `issuer`, or by itself if that is null.
absl::StatusOr<X509Ptr> Sign(const std::string& common_name, absl::Time not_before,
                             absl::Time not_after, EVP_PKEY* key,
                             const std::vector<Extension>& extensions, X509* issuer,
                             EVP_PKEY* issuer_key) {
  X509Ptr made(X509_new());
  X509* const certificate = made.get();
  if (issuer == nullptr) issuer = certificate;
  X509_set_version(certificate, 2);  // that is version 3
  if (!SetRandomSerial(certificate)) return Failed("make a serial number");
  ASN1_TIME_set(X509_getm_notBefore(certificate), absl::ToTimeT(not_before));
  ASN1_TIME_set(X509_getm_notAfter(certificate), absl::ToTimeT(not_after));
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const Extension& extension : extensions) {
    X509_EXTENSION* const made_extension =
        X509V3_EXT_conf_nid(nullptr, &context, extension.kind, extension.value.c_str());
    const bool added =
        made_extension != nullptr && X509_add_ext(certificate, made_extension, -1) == 1;
    X509_EXTENSION_free(made_extension);
    if (!added) return Failed(absl::StrCat("add \"", extension.value, "\" to a certificate"));
  }
  if (X509_sign(certificate, issuer_key, EVP_sha256()) <= 0) return Failed("sign a certificate");
  return made;
}

template <typename Writer>
std::string ToPem(const Writer& write) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  write(out.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

CertificatePair PairOf(const X509* certificate, const EVP_PKEY* key) {
  return {ToPem([&](BIO* out) { PEM_write_bio_X509(out, const_cast<X509*>(certificate)); }),
          ToPem([&](BIO* out) {
            PEM_write_bio_PrivateKey(out, const_cast<EVP_PKEY*>(key), nullptr, nullptr, 0, nullptr,
                                     nullptr);
          })};
}

}  // namespace

absl::Status CheckHost(const std::string& host) {
  constexpr size_t kLongestName = 253;
  const auto bad = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", Printable(host), "\" is neither a DNS name nor an IP address (no port, no scheme)"));
  };
  if (host.empty() || host.size() > kLongestName) return bad();
  if (IsIp(host)) return absl::OkStatus();
  bool first = true;
  for (const absl::string_view label : absl::StrSplit(host, '.')) {
    const bool wildcard = first && label == "*";
    first = false;
    if (wildcard) continue;
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
      return bad();
    }
    for (const char letter : label) {
      // '_': the names of docker-compose's services may have it.
      if (!absl::ascii_isalnum(static_cast<unsigned char>(letter)) && letter != '-' &&
          letter != '_') {
        return bad();
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<CertificateAuthority> CertificateAuthority::Make(absl::Time not_before,
                                                                absl::Time not_after) {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Failed("make a key");
  DISTILLERY_ASSIGN_OR_RETURN(X509Ptr certificate,
                              Sign("distillery CA", not_before, not_after, key.get(),
                                   {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                    {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                    {NID_subject_key_identifier, "hash"}},
                                   /*issuer=*/nullptr, key.get()));
  return CertificateAuthority(std::move(certificate), std::move(key));
}

absl::StatusOr<CertificateAuthority> CertificateAuthority::Load(const CertificatePair& pair) {
  std::vector<X509Ptr> certificates = ReadPemCertificates(pair.certificate);
  KeyPtr key = ReadPemKey(pair.key);
  if (certificates.size() != 1)
    return absl::FailedPreconditionError("no single certificate in PEM");
  if (key == nullptr) return absl::FailedPreconditionError("no private key in PEM");
  if (X509_check_private_key(certificates[0].get(), key.get()) != 1) {
    TakeOpensslError();
    return absl::FailedPreconditionError("the key is not that of the certificate");
  }
  if (X509_check_ca(certificates[0].get()) != 1) {
    return absl::FailedPreconditionError("the certificate is not an authority's");
  }
  return CertificateAuthority(std::move(certificates[0]), std::move(key));
}

absl::StatusOr<CertificatePair> CertificateAuthority::Issue(
    const CertificateRequest& request) const {
  for (const std::string& host : request.hosts) DISTILLERY_RETURN_IF_ERROR(CheckHost(host));
  DISTILLERY_RETURN_IF_ERROR(CheckName("name", request.identity.name, kMaxIdentityName));
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Failed("make a key");
  const absl::Time end = DescribeCertificate(certificate_.get()).not_after;
  // The blank keeps the common name from being taken for a host's.
  const std::string common_name =
      absl::StrCat(RoleName(request.identity.role), " ", request.identity.name);
  DISTILLERY_ASSIGN_OR_RETURN(
      const X509Ptr certificate,
      Sign(common_name.substr(0, 64), request.not_before, std::min(request.not_after, end),
           key.get(),
           {{NID_basic_constraints, "critical,CA:FALSE"},
            {NID_key_usage, "critical,digitalSignature"},
            // A worker's certificate cannot play a server, whatever it is called.
            {NID_ext_key_usage,
             IsServer(request.identity.role) ? "serverAuth,clientAuth" : "clientAuth"},
            {NID_subject_alt_name, AlternativeNames(request)},
            {NID_subject_key_identifier, "hash"},
            {NID_authority_key_identifier, "keyid:always"}},
           certificate_.get(), key_.get()));
  return PairOf(certificate.get(), key.get());
}

bool CertificateAuthority::Signed(const X509* certificate) const {
  const bool issued =
      X509_check_issued(certificate_.get(), const_cast<X509*>(certificate)) == X509_V_OK &&
      X509_verify(const_cast<X509*>(certificate), key_.get()) == 1;
  TakeOpensslError();
  return issued;
}

CertificatePair CertificateAuthority::pair() const {
  return PairOf(certificate_.get(), key_.get());
}

}  // namespace distillery

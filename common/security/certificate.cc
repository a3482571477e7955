#include "common/security/certificate.h"

#include <arpa/inet.h>

#include <ctime>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/security/openssl.h"

namespace distillery {
namespace {

absl::Time TimeOf(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::string TextOf(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string TextOf(const ASN1_STRING* value) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                     static_cast<size_t>(ASN1_STRING_length(value)));
}

std::string AddressOf(const ASN1_OCTET_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  const int length = ASN1_STRING_length(bytes);
  if (length == 4 || length == 16) {
    inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text, sizeof(text));
  }
  return text;
}

std::string SerialOf(const X509* certificate) {
  BIGNUM* const number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
  char* const digits = BN_bn2hex(number);
  std::string text = absl::AsciiStrToLower(digits);
  OPENSSL_free(digits);
  BN_free(number);
  return text;
}

}  // namespace

CertificateInfo DescribeCertificate(const X509* certificate) {
  CertificateInfo info;
  info.subject = TextOf(X509_get_subject_name(certificate));
  info.issuer = TextOf(X509_get_issuer_name(certificate));
  info.serial = SerialOf(certificate);
  info.is_authority = X509_check_ca(const_cast<X509*>(certificate)) == 1;
  info.not_before = TimeOf(X509_get0_notBefore(certificate));
  info.not_after = TimeOf(X509_get0_notAfter(certificate));
  auto* const names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) {
      info.hosts.push_back(TextOf(name->d.dNSName));
    } else if (name->type == GEN_IPADD) {
      info.hosts.push_back(AddressOf(name->d.iPAddress));
    } else if (name->type == GEN_URI) {
      const auto identity = ParseIdentityUri(TextOf(name->d.uniformResourceIdentifier));
      if (identity.ok()) info.identity = *identity;
    }
  }
  GENERAL_NAMES_free(names);
  return info;
}

absl::StatusOr<CertificateInfo> ParseCertificate(absl::string_view pem) {
  const std::vector<X509Ptr> certificates = ReadPemCertificates(pem);
  if (certificates.empty()) return absl::InvalidArgumentError("no certificate in PEM");
  return DescribeCertificate(certificates.front().get());
}

absl::Status CheckValidity(const CertificateInfo& info, absl::Time now) {
  if (now > info.not_after) {
    return absl::FailedPreconditionError(
        absl::StrCat("expired at ", CertificateTime(info.not_after)));
  }
  if (now < info.not_before) {
    return absl::FailedPreconditionError(
        absl::StrCat("is valid from ", CertificateTime(info.not_before), " on; it is ",
                     CertificateTime(now), " here"));
  }
  return absl::OkStatus();
}

std::string WhoseCertificate(const CertificateInfo& info) {
  if (!info.identity.has_value()) return info.subject;
  return absl::StrCat(RoleName(info.identity->role), " \"", info.identity->name, "\"");
}

std::string CertificateTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

}  // namespace distillery

// Makes certificates: an authority, and pairs of certificate and key that it signs (EC P-256).
//
// Threads: each object for one.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/security/openssl.h"
#include "common/security/role.h"

namespace distillery {

// PEM texts.
struct CertificatePair {
  std::string certificate;
  std::string key;
};

struct CertificateRequest {
  Identity identity;
  // DNS names and IP addresses of a server, besides localhost and 127.0.0.1; none for other roles.
  std::vector<std::string> hosts;
  absl::Time not_before;
  absl::Time not_after;
};

// INVALID_ARGUMENT names the host: neither an IP address nor a DNS name.
absl::Status CheckHost(const std::string& host);

class CertificateAuthority {
 public:
  static absl::StatusOr<CertificateAuthority> Make(absl::Time not_before, absl::Time not_after);
  // FAILED_PRECONDITION if the two are not an authority's certificate and its key.
  static absl::StatusOr<CertificateAuthority> Load(const CertificatePair& pair);

  // INVALID_ARGUMENT as CheckHost. A certificate does not outlive its authority: it ends with it.
  absl::StatusOr<CertificatePair> Issue(const CertificateRequest& request) const;
  // Whether it signed the certificate.
  bool Signed(const X509* certificate) const;
  CertificatePair pair() const;

 private:
  CertificateAuthority(X509Ptr certificate, KeyPtr key)
      : certificate_(std::move(certificate)), key_(std::move(key)) {}
  X509Ptr certificate_;
  KeyPtr key_;
};

}  // namespace distillery

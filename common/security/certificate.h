// What a certificate says.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/security/role.h"

namespace distillery {

// Longer files are no certificates and no keys: they are refused unread.
inline constexpr int64_t kMaxPemBytes = 1 << 20;

struct CertificateInfo {
  // None: it names no role, and our services refuse it.
  std::optional<Identity> identity;
  // DNS names and IP addresses that it is valid for.
  std::vector<std::string> hosts;
  // "CN=distillery CA".
  std::string subject;
  std::string issuer;
  // Lower-case hex digits.
  std::string serial;
  bool is_authority = false;
  absl::Time not_before;
  absl::Time not_after;
};

// The first certificate of a PEM text. INVALID_ARGUMENT if there is none.
absl::StatusOr<CertificateInfo> ParseCertificate(absl::string_view pem);
CertificateInfo DescribeCertificate(const X509* certificate);

// FAILED_PRECONDITION if it has expired or is not valid yet.
absl::Status CheckValidity(const CertificateInfo& info, absl::Time now);

// "worker \"worker-7\"", or the subject of one without a role.
std::string WhoseCertificate(const CertificateInfo& info);
// "2027-01-31 12:00:00 UTC".
std::string CertificateTime(absl::Time time);

}  // namespace distillery
